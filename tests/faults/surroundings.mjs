// What a run stands on besides the cluster: a small disk, a cable between namespaces, a PostgreSQL server; as far as this machine has them.
import { join } from "node:path";

import { Disk } from "./disk.mjs";
import { Network } from "./network.mjs";
import { Postgres } from "./postgres.mjs";

export class Surroundings {
	/** needs: a set of what faults need. What could not be had stands in `lacks`, with the reason. */
	static async open(needs, journal) {
		const self = new Surroundings();
		self.lacks = {};
		self.journal = journal;
		try {
			await self.#open(needs);
		} catch (err) {
			await self.close().catch(() => {});
			throw err;
		}
		return self;
	}

	async #open(needs) {
		if (this.journal === "sqlite" && needs.has("disk") && !(this.disk = Disk.open())) this.lacks.disk = "tmpfs cannot be mounted here";
		if ((needs.has("network") || needs.has("netem")) && !(this.network = Network.open())) this.lacks.network = Network.refusal;
		if (this.network && needs.has("netem") && !this.network.hasNetem) this.lacks.netem = this.network.netemRefusal;
		if (this.journal === "postgres") this.postgres = await Postgres.start();
	}

	/** Whether a fault that needs something can be. */
	offers(needs, { gateways = 1 }) {
		const offered = {
			undefined: true, disk: this.disk, network: this.network, netem: this.network?.hasNetem, postgres: this.postgres,
			standby: gateways > 1, files: this.journal === "sqlite",
		};
		return Boolean(offered[needs]);
	}

	/** A cluster's settings. */
	settings() {
		// The journal itself must not fill the small disk in a long run.
		const gatewayOptions = [`--journal=${this.journal}`, "--keep-bytes=64M", ...(this.postgres ? ["--outbox=yes"] : [])];
		return {
			...(this.disk ? { stateDir: join(this.disk.path, "state") } : {}), network: this.network, gatewayOptions,
			gatewayEnv: this.postgres ? { ROOMCAST_JOURNAL_CONNECTION: this.postgres.connection } : {},
		};
	}

	async close() {
		try {
			await this.postgres?.stop();
		} finally {
			await this.network?.close();
			this.disk?.close();
		}
	}
}
