// What a run stands on besides the cluster: a small disk, a cable between namespaces, a PostgreSQL server; as far as this machine has them.
import { join } from "node:path";

import { Disk } from "./disk.mjs";
import { Network } from "./network.mjs";
import { Postgres, hasPostgres } from "./postgres.mjs";

export class Surroundings {
	/** wants: a set of "disk", "network", "postgres"; what could not be had stands in `lacks`, with the reason. */
	static async open(wants) {
		const self = new Surroundings();
		self.lacks = {};
		if (wants.has("disk") && !(self.disk = Disk.open())) self.lacks.disk = "tmpfs cannot be mounted here";
		if (wants.has("network") && !(self.network = Network.open())) self.lacks.network = Network.refusal;
		if (self.network && !self.network.hasNetem) self.lacks.netem = self.network.netemRefusal;
		if (wants.has("postgres") && !hasPostgres()) self.lacks.postgres = "PostgreSQL is not installed";
		else if (wants.has("postgres")) self.postgres = await Postgres.start();
		return self;
	}

	/** Whether a fault that needs something can be. */
	offers(needs, { gateways = 1 }) {
		const offered = {
			undefined: true, disk: this.disk, network: this.network, netem: this.network?.hasNetem, postgres: this.postgres,
			standby: gateways > 1, files: !this.postgres,
		};
		return Boolean(offered[needs]);
	}

	/** A cluster's settings. */
	settings() {
		const gatewayOptions = this.postgres ? ["--journal=postgres"] : [];
		return {
			...(this.disk ? { stateDir: join(this.disk.path, "state") } : {}), network: this.network, gatewayOptions,
			gatewayEnv: this.postgres ? { ROOMCAST_JOURNAL_CONNECTION: this.postgres.connection } : {},
		};
	}

	async close() {
		this.disk?.close();
		this.network?.close();
		await this.postgres?.stop();
	}
}
