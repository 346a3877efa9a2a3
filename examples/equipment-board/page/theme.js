// Before the first paint: the theme that was chosen here, otherwise the system's.
(function () {
	var chosen = null;
	try {
		chosen = localStorage.getItem("theme");
	} catch (err) {
		// Storage may be forbidden; then the system decides.
	}
	var isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
	document.documentElement.dataset.theme = isDark ? "dark" : "light";
})();
