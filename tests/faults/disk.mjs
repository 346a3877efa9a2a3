// A small file system in memory that can be filled to its last byte.
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, rmdirSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM_MS = 30_000;

export class Disk {
	/** undefined where nobody may mount. */
	static open(size = "256m") {
		const disk = new Disk();
		disk.path = mkdtempSync(join(tmpdir(), "rcd-"));
		try {
			execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "roomcast-faults", disk.path], { stdio: "pipe", timeout: PROGRAM_MS });
		} catch {
			rmdirSync(disk.path);
			return undefined;
		}
		return disk;
	}

	fill() {
		const file = openSync(join(this.path, "filler"), "a");
		for (let size = 1 << 20; size >= 1;) {
			try {
				if (writeSync(file, Buffer.alloc(size)) < size) size >>= 1;
			} catch (err) {
				if (err.code !== "ENOSPC") throw err;
				size >>= 1;
			}
		}
		closeSync(file);
	}

	free() {
		rmSync(join(this.path, "filler"), { force: true });
	}

	close() {
		execFileSync("umount", ["--lazy", this.path], { stdio: "pipe", timeout: PROGRAM_MS });
		rmdirSync(this.path);
	}
}
