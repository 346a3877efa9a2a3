// A link as a process of its own, so that its two ends can be in another network namespace. Ends with its standard input.
import { Link } from "./link.mjs";

const { from, to } = JSON.parse(process.argv[2]);
await Link.open(from, to);
console.log("ready");
process.stdin.resume().on("end", () => process.exit());
