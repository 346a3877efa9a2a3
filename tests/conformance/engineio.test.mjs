// engineio.test.mjs - the Engine.IO 4 server, black box: every answer, on raw sockets where the bytes matter.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';

import { after, before, describe, test } from '../lib/bounded.mjs';
import { all, end, heard, watch, within } from '../lib/deadline.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const build = path.resolve(process.env.ROOMCAST_BUILD ?? path.join(here, '../../build'));
const PING_INTERVAL = 20000; // no session dies and no GET is answered because this machine is busy
const PING_TIMEOUT = 10000;
const MAX_PAYLOAD = 1000000;
const DEADLINE_MS = 30000;

let child, port;
let errors = '';
const servers = [], raws = [];

async function startServer(...options) {
	const server = watch(spawn(path.join(build, 'tests/conformance/server'), ['--port=0', ...options]), () => errors);
	servers.push(server);
	server.stderr.on('data', (text) => { errors += text; });
	const [line] = await heard(server.stdout, 'data');
	return { server, port: Number(/port (\d+)/.exec(line)[1]) };
}

before(async () => {
	({ server: child, port } = await startServer(`--ping-interval=${PING_INTERVAL}`, `--ping-timeout=${PING_TIMEOUT}`));
});

after(async () => {
	for (const raw of raws) raw.close();
	try {
		assert.deepEqual(await end(child), { code: 0, signal: null }, errors);
		assert.equal(errors, '');
	} finally {
		await all(servers.map((server) => end(server, 'SIGKILL')));
	}
});

// A connection that sees bytes: answers in order, and the end.
class Raw {
	constructor(at = port) {
		this.socket = net.connect({ port: at, host: '127.0.0.1', allowHalfOpen: true });
		raws.push(this);
		this.socket.on('error', () => {});
		this.socket.setNoDelay(true);
		this.received = Buffer.alloc(0);
		this.ended = false;
		this.wake = () => {};
		this.socket.on('data', (data) => { this.received = Buffer.concat([this.received, data]); this.wake(); });
		this.socket.on('end', () => { this.ended = true; this.wake(); });
		this.socket.on('close', () => { this.ended = true; this.wake(); });
	}
	send(text) { this.socket.write(text); return this; }
	async until(condition, what) {
		const deadline = Date.now() + DEADLINE_MS;
		for (;;) {
			const value = condition();
			if (value) return value;
			const left = deadline - Date.now();
			assert.ok(left > 0, `no ${what}; received: ${this.received.toString('latin1').slice(0, 300)}`);
			await new Promise((resolve) => { this.wake = resolve; setTimeout(resolve, Math.min(left, 50)); });
		}
	}
	parse(isHead) {
		const at = this.received.indexOf('\r\n\r\n');
		if (at < 0) return null;
		const [first, ...lines] = this.received.subarray(0, at).toString('latin1').split('\r\n');
		const headers = {};
		for (const line of lines) headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
		const status = Number(first.split(' ')[1]);
		const length = isHead || status === 101 || status === 100 ? 0 : Number(headers['content-length']);
		if (this.received.length < at + 4 + length) return null;
		const body = this.received.subarray(at + 4, at + 4 + length).toString();
		this.received = this.received.subarray(at + 4 + length);
		return { status, headers, body };
	}
	answer({ isHead = false } = {}) { return this.until(() => this.parse(isHead), 'answer'); }
	end() { return this.until(() => this.ended, 'end of the connection'); }
	close() { this.socket.destroy(); }
}

const target = (query) => `/engine.io/?EIO=4&transport=polling${query ?? ''}`;
const get = (url, headers = '') => `GET ${url} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
const post = (url, body, headers = '') =>
	`POST ${url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;

async function ask(text, options) {
	const raw = new Raw();
	raw.send(text);
	const answer = await raw.answer(options);
	raw.close();
	return answer;
}

async function open(query = '') {
	const { status, body } = await ask(get(target(query)));
	assert.equal(status, 200);
	return JSON.parse(body.slice(1)).sid;
}
const poll = (sid, extra) => get(target(`&sid=${sid}`), extra);
const push = (sid, body, extra) => post(target(`&sid=${sid}`), body, extra);

async function assertError(text, code, status = 400) {
	const messages = ['Transport unknown', 'Session ID unknown', 'Bad handshake method', 'Bad request', 'Forbidden',
		'Unsupported protocol version'];
	const answer = await ask(text);
	assert.equal(answer.status, status);
	assert.match(answer.headers['content-type'], /^application\/json/);
	assert.deepEqual(JSON.parse(answer.body), { code, message: messages[code] });
}
const assertGone = (sid) => assertError(poll(sid), 1);

// A held GET is one that has no answer while others are served.
async function hold(sid, extra) {
	const raw = new Raw();
	raw.send(poll(sid, extra));
	await ask(get('/engine.io/?transport=none'));
	return raw;
}

function connectWebSocket(query, options) {
	const socket = new WebSocket(`ws://127.0.0.1:${port}/engine.io/?EIO=4&transport=websocket${query ?? ''}`, options);
	socket.binaryType = 'nodebuffer';
	const messages = [];
	let wake = () => {};
	socket.on('message', (data, isBinary) => { messages.push(isBinary ? data : data.toString()); wake(); });
	socket.on('error', () => {});
	socket.closed = within('a WebSocket is closed', new Promise((resolve) => socket.on('close', (code) => resolve(code))));
	raws.push({ close: () => socket.terminate() });
	socket.next = async () => {
		const deadline = Date.now() + DEADLINE_MS;
		while (messages.length === 0) {
			assert.ok(Date.now() < deadline && socket.readyState <= 1, 'no message');
			await new Promise((resolve) => { wake = resolve; setTimeout(resolve, 50); });
		}
		return messages.shift();
	};
	socket.nextMessage = async () => { // without heartbeats
		for (;;) {
			const message = await socket.next();
			if (message !== '2') return message;
			socket.send('3');
		}
	};
	return socket;
}

const upgradeRequest = (query, { key = 'dGhlIHNhbXBsZSBub25jZQ==', version = 13, extra = '', protocol = 'HTTP/1.1', method = 'GET' } = {}) =>
	`${method} /engine.io/?EIO=4&transport=websocket${query ?? ''} ${protocol}\r\nHost: localhost\r\nUpgrade: websocket\r\n` +
	`Connection: keep-alive, Upgrade\r\n${key ? `Sec-WebSocket-Key: ${key}\r\n` : ''}` +
	`${version ? `Sec-WebSocket-Version: ${version}\r\n` : ''}${extra}\r\n`;

function frame(opcode, payload, { fin = true, mask = true } = {}) {
	const data = Buffer.from(payload);
	const header = data.length < 126 ? [0] : data.length < 65536 ? [0, 0, 0] : [0, 0, 0, 0, 0, 0, 0, 0, 0];
	const head = Buffer.alloc(1 + header.length);
	head[0] = (fin ? 0x80 : 0) | opcode;
	head[1] = (mask ? 0x80 : 0) | (data.length < 126 ? data.length : data.length < 65536 ? 126 : 127);
	if (data.length >= 65536) head.writeBigUInt64BE(BigInt(data.length), 2);
	else if (data.length >= 126) head.writeUInt16BE(data.length, 2);
	if (!mask) return Buffer.concat([head, data]);
	const key = Buffer.from([1, 2, 3, 4]);
	return Buffer.concat([head, key, data.map((byte, i) => byte ^ key[i % 4])]);
}

async function openRawWebSocket(early = Buffer.alloc(0)) {
	const raw = new Raw();
	raw.send(Buffer.concat([Buffer.from(upgradeRequest('')), early]));
	const answer = await raw.answer();
	assert.equal(answer.status, 101);
	assert.equal(answer.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
	return raw;
}

async function nextFrame(raw) {
	return raw.until(() => {
		const bytes = raw.received;
		if (bytes.length < 2) return null;
		let length = bytes[1] & 127, at = 2;
		if (length === 126) { length = bytes.readUInt16BE(2); at = 4; }
		if (length === 127) { length = Number(bytes.readBigUInt64BE(2)); at = 10; }
		if (bytes.length < at + length) return null;
		raw.received = bytes.subarray(at + length);
		return { opcode: bytes[0] & 15, fin: bytes[0] >> 7, payload: bytes.subarray(at, at + length) };
	}, 'frame');
}

describe('handshake over polling', () => {
	test('the open packet has exactly its keys', async () => {
		const answer = await ask(get(target()));
		assert.equal(answer.status, 200);
		assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
		assert.equal(answer.headers['cache-control'], 'no-store');
		assert.equal(answer.body[0], '0');
		const packet = JSON.parse(answer.body.slice(1));
		assert.deepEqual(Object.keys(packet), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
		assert.match(packet.sid, /^[^~]+~[A-Za-z0-9_-]{20}$/);
		assert.deepEqual({ ...packet, sid: 0 },
			{ sid: 0, upgrades: ['websocket'], pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, maxPayload: MAX_PAYLOAD });
	});
	test('with and without trailing slash, parameters in any order, encoded, the last one counts', async () => {
		for (const url of ['/engine.io?EIO=4&transport=polling', '/engine.io/?transport=polling&EIO=4&t=x',
			'/engine.io/?EIO=3&EIO=4&transport=%70olling', '/engine.io/?EIO=4&transport=polling&sid='])
			assert.equal((await ask(get(url))).status, 200, url);
	});
	test('errors, in the order of the checks', async () => {
		await assertError(get('/engine.io/?EIO=4'), 0);
		await assertError(get('/engine.io/?EIO=4&transport=abc'), 0);
		await assertError(get('/engine.io/?EIO=4&transport=abc&sid=x'), 0);
		await assertError(get(target('&sid=nobody')), 1);
		await assertError(post(target(), ''), 2);
		await assertError(post('/engine.io/?transport=polling', ''), 2);
		await assertError(get('/engine.io/?EIO=4&transport=websocket'), 3);
		await assertError(get('/engine.io/?transport=polling'), 5);
		await assertError(get('/engine.io/?EIO=3&transport=polling'), 5);
		await assertError(get('/engine.io/?EIO=abc&transport=polling'), 5);
	});
	test('other methods', async () => {
		for (const method of ['PUT', 'DELETE', 'PATCH'])
			await assertError(get(target()).replace('GET', method), 2);
		assert.equal((await ask(get(target()).replace('GET', 'HEAD'), { isHead: true })).status, 400);
		const sid = await open();
		assert.equal((await ask(poll(sid).replace('GET', 'PUT'))).status, 405);
		assert.equal((await ask(poll(sid).replace('GET', 'HEAD'), { isHead: true })).status, 405);
	});
	test('another path is 404', async () => {
		for (const url of ['/', '/engine.iox?EIO=4&transport=polling', '/other'])
			assert.equal((await ask(get(url))).status, 404, url);
	});
});

describe('messages over polling', () => {
	test('text and binary come back in one answer', async () => {
		const sid = await open();
		const answer = await ask(push(sid, '4hello\x1ebAQIDBA==\x1e4\u20ac'));
		assert.deepEqual([answer.status, answer.body, answer.headers['content-type']], [200, 'ok', 'text/html']);
		assert.equal((await ask(poll(sid))).body, '4hello\x1ebAQIDBA==\x1e4\u20ac');
	});
	test('a held GET gets all that one POST causes', async () => {
		const sid = await open();
		const held = await hold(sid);
		await ask(push(sid, '4a\x1e4b\x1e4c'));
		assert.equal((await held.answer()).body, '4a\x1e4b\x1e4c');
		held.close();
	});
	test('at most 16 packets in an answer', async () => {
		const sid = await open();
		await ask(push(sid, Array.from({ length: 40 }, (_, i) => `4${i}`).join('\x1e')));
		const sizes = [];
		for (let i = 0; i < 3; i++) sizes.push((await ask(poll(sid))).body.split('\x1e').length);
		assert.deepEqual(sizes, [16, 16, 8]);
	});
	test('open, upgrade and noop packets are ignored', async () => {
		const sid = await open();
		await ask(push(sid, '0\x1e5\x1e6\x1e4x'));
		assert.equal((await ask(poll(sid))).body, '4x');
	});
	test('malformed packets close the session', async () => {
		for (const body of ['abc', '', '4a\x1e', '\x1e4a', '7', '4a\x1exyz', 'b!!!', 'bA', Buffer.from([0x34, 0xff, 0xfe])]) {
			const sid = await open();
			const text = push(sid, 'x').replace(/Content-Length: 1\r\n/, `Content-Length: ${Buffer.byteLength(body)}\r\n`).slice(0, -1);
			const answer = await ask(Buffer.concat([Buffer.from(text), Buffer.from(body)]));
			assert.equal(answer.status, 400, JSON.stringify(body));
			await assertGone(sid);
		}
	});
	test('a ping from the client closes the session', async () => {
		const sid = await open();
		await ask(push(sid, '2'));
		await assertGone(sid);
	});
	test('octet streams are refused and close the session', async () => {
		const sid = await open();
		assert.equal((await ask(push(sid, '4x', 'Content-Type: application/octet-stream\r\n'))).status, 400);
		await assertGone(sid);
	});
	test('a body past maxPayload is 413 and the session stays', async () => {
		const sid = await open();
		const big = await ask(`POST ${target(`&sid=${sid}`)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${MAX_PAYLOAD + 1}\r\n\r\n`);
		assert.equal(big.status, 413);
		const chunked = new Raw();
		chunked.send(`POST ${target(`&sid=${sid}`)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
		chunked.send(`${(MAX_PAYLOAD + 1).toString(16)}\r\n${'x'.repeat(MAX_PAYLOAD + 1)}`);
		assert.equal((await chunked.answer()).status, 413);
		chunked.close();
		assert.equal((await ask(push(sid, '4ok'))).body, 'ok');
		assert.equal((await ask(poll(sid))).body, '4ok');
	});
	test('a body of exactly maxPayload', async () => {
		const sid = await open();
		const body = `4${'x'.repeat(MAX_PAYLOAD - 1)}`;
		assert.equal((await ask(push(sid, body))).body, 'ok');
		assert.ok((await ask(poll(sid))).body === body);
	});
	test('chunked bodies', async () => {
		const sid = await open();
		const raw = new Raw();
		raw.send(`POST ${target(`&sid=${sid}`)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4h\r\n`);
		raw.send('4;ext=1\r\nello\r\n0\r\nX-Trailer: 1\r\n\r\n');
		assert.equal((await raw.answer()).body, 'ok');
		raw.close();
		assert.equal((await ask(poll(sid))).body, '4hello');
	});
	test('a second GET ends the session: the first gets a close packet', async () => {
		const sid = await open();
		const first = await hold(sid);
		assert.equal((await ask(poll(sid))).status, 400);
		assert.equal((await first.answer()).body, '1');
		first.close();
		await assertGone(sid);
	});
	test('a second POST while one is read ends the session and cuts the first', async () => {
		const sid = await open();
		const first = new Raw();
		first.send(push(sid, '4abcdef').slice(0, -3));
		await ask(get('/engine.io/?transport=none'));
		assert.equal((await ask(push(sid, '4x'))).status, 400);
		await first.end();
		first.close();
		await assertGone(sid);
	});
	test('the client closes: the held GET gets a noop', async () => {
		const sid = await open();
		const held = await hold(sid);
		assert.equal((await ask(push(sid, '1'))).body, 'ok');
		assert.equal((await held.answer()).body, '6');
		held.close();
		await assertGone(sid);
	});
});

describe('HTTP', () => {
	test('a GET and a POST in one segment: answers in order', async () => {
		const sid = await open();
		const raw = new Raw();
		raw.send(poll(sid) + push(sid, '4hi'));
		assert.equal((await raw.answer()).body, '4hi');
		assert.equal((await raw.answer()).body, 'ok');
		raw.close();
	});
	test('POSTs in one segment, and a body that shares it with the next request', async () => {
		const sid = await open();
		const raw = new Raw();
		raw.send(push(sid, '4a') + push(sid, '4b') + poll(sid) + poll(sid).slice(0, 10));
		assert.deepEqual([(await raw.answer()).body, (await raw.answer()).body, (await raw.answer()).body], ['ok', 'ok', '4a\x1e4b']);
		raw.send(poll(sid).slice(10)).send(push(sid, '4c'));
		assert.equal((await raw.answer()).body, '4c');
		raw.close();
	});
	test('a hundred pipelined requests', async () => {
		const sid = await open();
		const raw = new Raw();
		raw.send(Array.from({ length: 100 }, (_, i) => push(sid, `4${i}`)).join(''));
		for (let i = 0; i < 100; i++) assert.equal((await raw.answer()).body, 'ok');
		const echoed = [];
		while (echoed.length < 100) {
			raw.send(poll(sid));
			echoed.push(...(await raw.answer()).body.split('\x1e').filter((packet) => packet[0] === '4'));
		}
		assert.deepEqual(echoed, Array.from({ length: 100 }, (_, i) => `4${i}`));
		raw.close();
	});
	test('byte by byte', async () => {
		const sid = await open();
		const raw = new Raw();
		for (const byte of push(sid, '4slow')) {
			raw.send(byte);
			await new Promise(setImmediate);
		}
		assert.equal((await raw.answer()).body, 'ok');
		raw.close();
		assert.equal((await ask(poll(sid))).body, '4slow');
	});
	test('a held GET whose client sends FIN ends the session at once', async () => {
		const sid = await open();
		const held = await hold(sid);
		held.socket.end();
		await held.end();
		await assertGone(sid);
	});
	test('a held GET whose client resets ends the session at once', async () => {
		const sid = await open();
		const held = await hold(sid);
		held.socket.resetAndDestroy();
		await ask(get('/engine.io/?transport=none'));
		await assertGone(sid);
	});
	test('an unfinished POST whose client leaves ends the session at once', async () => {
		const sid = await open();
		const raw = new Raw();
		raw.send(push(sid, '4abc').slice(0, -2));
		await ask(get('/engine.io/?transport=none'));
		raw.socket.end();
		await raw.end();
		await assertGone(sid);
	});
	test('Connection: close and HTTP/1.0 end the connection behind the answer', async () => {
		for (const text of [get(target(), 'Connection: close\r\n'), get(target()).replace('HTTP/1.1', 'HTTP/1.0')]) {
			const raw = new Raw();
			raw.send(text);
			const answer = await raw.answer();
			assert.deepEqual([answer.status, answer.headers.connection], [200, 'close']);
			await raw.end();
			raw.close();
		}
	});
	test('Expect: 100-continue', async () => {
		const sid = await open();
		const raw = new Raw();
		const [head, body] = push(sid, '4abc', 'Expect: 100-continue\r\n').split('\r\n\r\n');
		raw.send(`${head}\r\n\r\n`);
		assert.equal((await raw.answer()).status, 100);
		raw.send(body);
		assert.equal((await raw.answer()).body, 'ok');
		raw.close();
		assert.equal((await ask(push(sid, 'x', 'Expect: magic\r\n'))).status, 417);
	});
	const malformed = [
		['both lengths', 'POST /engine.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
		['two lengths', 'POST /engine.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', 400],
		['a negative length', 'POST /engine.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', 400],
		['a length of 30 digits', `POST /engine.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: ${'9'.repeat(30)}\r\n\r\n`, 400],
		['a bad chunk', `POST /engine.io/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
		['an unknown coding', 'POST /engine.io/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n', 400],
		['no host', 'GET /engine.io/ HTTP/1.1\r\n\r\n', 400],
		['two hosts', 'GET /engine.io/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
		['garbage', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
		['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
		['version 2', 'GET / HTTP/2.0\r\nHost: x\r\n\r\n', 505],
		['no version', 'GET /\r\n\r\n', 505],
		['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
		['a long target', `GET /${'x'.repeat(9000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
		['a long header', `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20000)}\r\n\r\n`, 431],
		['many headers', `GET / HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(4000)}\r\n`, 431],
		['a blank in front of the colon', 'POST /engine.io/ HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc', 400],
		['a space in a name', 'GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n', 400],
	];
	for (const [name, text, status] of malformed)
		test(`${name}: ${status}, and the connection ends`, async () => {
			const raw = new Raw();
			raw.send(Buffer.from(text, 'latin1'));
			assert.equal((await raw.answer()).status, status);
			await raw.end();
			raw.close();
		});
	test('a bad chunk in a POST ends its session', async () => {
		const sid = await open();
		const raw = new Raw();
		raw.send(`POST ${target(`&sid=${sid}`)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4a\r\nzz\r\n`);
		assert.equal((await raw.answer()).status, 400);
		raw.close();
		await assertGone(sid);
	});
	test('an upgrade to something else is a plain request', async () => {
		const answer = await ask(get(target(), 'Upgrade: h2c\r\nConnection: Upgrade\r\n'));
		assert.equal(answer.status, 200);
	});
	test('what stands in front of a broken request is answered', async () => {
		const raw = new Raw();
		raw.send(`${get(target())}\x00\x00\r\n\r\n`);
		assert.equal((await raw.answer()).status, 200);
		assert.equal((await raw.answer()).status, 400);
		await raw.end();
		raw.close();
	});
});

describe('CORS', () => {
	test('answers and errors carry the header', async () => {
		for (const text of [get(target(), 'Origin: http://a.example\r\n'), get('/engine.io/', 'Origin: http://a.example\r\n')])
			assert.equal((await ask(text)).headers['access-control-allow-origin'], '*');
	});
	test('preflight', async () => {
		const answer = await ask(get(target()).replace('GET', 'OPTIONS').replace('\r\n\r\n',
			'\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a,x-b\r\n\r\n'));
		assert.equal(answer.status, 204);
		assert.equal(answer.headers['content-length'], '0');
		assert.equal(answer.headers['access-control-allow-headers'], 'x-a,x-b');
		assert.match(answer.headers['access-control-allow-methods'], /POST/);
	});
});

describe('heartbeat', () => {
	const interval = 300;
	let other;
	before(async () => {
		other = port;
		({ port } = await startServer(`--ping-interval=${interval}`, '--ping-timeout=3000'));
	});
	after(() => {
		port = other;
	});
	test('over polling', async () => {
		const sid = await open();
		for (let i = 0; i < 3; i++) {
			const start = Date.now();
			assert.equal((await ask(poll(sid))).body, '2');
			assert.ok(Date.now() - start > interval / 2, 'too early');
			await ask(push(sid, '3'));
		}
	});
	test('only a pong counts', async () => {
		const sid = await open();
		assert.equal((await ask(poll(sid))).body, '2');
		const raw = await hold(sid);
		await ask(push(sid, '6'));
		assert.equal((await raw.answer()).body, '1');
		raw.close();
		await assertGone(sid);
	});
	test('over WebSocket', async () => {
		const socket = connectWebSocket();
		await socket.next();
		for (let i = 0; i < 3; i++) {
			assert.equal(await socket.next(), '2');
			socket.send('3');
		}
		await socket.closed;
	});
});

describe('WebSocket', () => {
	test('handshake, text, binary, base64 as text', async () => {
		const socket = connectWebSocket();
		const packet = JSON.parse((await socket.next()).slice(1));
		assert.deepEqual(packet.upgrades, []);
		assert.deepEqual(Object.keys(packet), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
		for (const text of ['4hello', '4', `4${'\u20ac'.repeat(1000)}`]) {
			socket.send(text);
			assert.equal(await socket.nextMessage(), text);
		}
		for (const bytes of [Buffer.from([1, 2, 3]), Buffer.alloc(0), Buffer.alloc(70000, 7)]) {
			socket.send(bytes);
			assert.deepEqual(await socket.nextMessage(), bytes);
		}
		socket.send('bAQIDBA==');
		assert.deepEqual(await socket.nextMessage(), Buffer.from([1, 2, 3, 4]));
		await assertError(get(target(`&sid=${packet.sid}`)), 3);
		socket.close();
		await socket.closed;
		await assertGone(packet.sid);
	});
	test('b64=1: binary comes as text', async () => {
		const socket = connectWebSocket('&b64=1');
		await socket.next();
		socket.send(Buffer.from([1, 2, 3, 4]));
		assert.equal(await socket.nextMessage(), 'bAQIDBA==');
		socket.close();
	});
	test('malformed packets close', async () => {
		for (const packet of ['abc', '', '9', 'b*', '2', '2probe']) {
			const socket = connectWebSocket();
			await socket.next();
			socket.send(packet);
			await socket.closed;
		}
	});
	test('a close packet closes', async () => {
		const socket = connectWebSocket();
		await socket.next();
		socket.send('1');
		assert.equal(await socket.closed, 1000);
	});
	test('too large: 1009; the largest is fine', async () => {
		const socket = connectWebSocket();
		await socket.next();
		socket.send(`4${'x'.repeat(MAX_PAYLOAD - 1)}`);
		assert.equal((await socket.nextMessage()).length, MAX_PAYLOAD);
		socket.send(Buffer.alloc(MAX_PAYLOAD + 1));
		assert.equal(await socket.closed, 1009);
	});
	test('text that is not UTF-8: 1007', async () => {
		const raw = await openRawWebSocket(frame(1, Buffer.from([0x34, 0xc3, 0x28])));
		assert.equal((await nextFrame(raw)).payload[0], '0'.charCodeAt(0));
		const close = await nextFrame(raw);
		assert.deepEqual([close.opcode, close.payload.readUInt16BE(0)], [8, 1007]);
		raw.close();
	});
	test('frames in the segment of the handshake, fragments, ping in between, close', async () => {
		const raw = await openRawWebSocket(Buffer.concat([frame(1, '4first'), frame(1, '4a', { fin: false }), frame(9, 'hi')]));
		raw.send(frame(0, 'b', { fin: false })).send(frame(0, 'c'));
		const seen = [];
		while (seen.length < 4) {
			const next = await nextFrame(raw);
			if (next.payload.toString() !== '2') seen.push(`${next.opcode} ${next.payload}`);
		}
		assert.match(seen.shift(), /^1 0\{/);
		assert.deepEqual(seen.sort(), ['1 4abc', '1 4first', '10 hi']);
		raw.send(frame(8, Buffer.from([3, 232])));
		assert.equal((await nextFrame(raw)).opcode, 8);
		raw.close();
	});
	test('a thousand messages come back in order', async () => {
		const socket = connectWebSocket();
		await socket.next();
		for (let i = 0; i < 1000; i++) socket.send(`4${i}`);
		for (let i = 0; i < 1000; i++) assert.equal(await socket.nextMessage(), `4${i}`);
		socket.close();
	});
	test('refused in front of the 101', async () => {
		const cases = [
			[upgradeRequest('').replace('EIO=4&', ''), 400],
			[upgradeRequest('').replace('EIO=4', 'EIO=3'), 400],
			[upgradeRequest('').replace('transport=websocket', 'transport=polling'), 400],
			[upgradeRequest('').replace('transport=websocket', 'transport=abc'), 400],
			[upgradeRequest('&sid=nobody'), 400],
			[upgradeRequest('', { key: '' }), 400],
			[upgradeRequest('', { key: 'short' }), 400],
			[upgradeRequest('', { key: 'dGhlIHNhbXBsZSBub25jZQ=!' }), 400],
			[upgradeRequest('', { version: 8 }), 426],
			[upgradeRequest('', { version: 0 }), 426],
			[upgradeRequest('', { method: 'POST' }), 400],
			[upgradeRequest('', { protocol: 'HTTP/1.0' }), 400],
			[upgradeRequest('', { extra: 'Content-Length: 3\r\n' }) + 'abc', 400],
			[get(target()) + upgradeRequest(''), 200],
		];
		for (const [text, status] of cases) {
			const answer = await ask(text);
			assert.equal(answer.status, status, text);
			if (status === 426) assert.equal(answer.headers['sec-websocket-version'], '13');
			if (status === 400 && /^GET.* HTTP\/1\.1/.test(text)) assert.equal(answer.headers.connection, 'close', text);
		}
	});
	test('peers that are gone before their handshake is answered', async () => {
		for (let round = 0; round < 20; round++)
			await Promise.all(Array.from({ length: 10 }, async (_, i) => {
				const raw = new Raw();
				raw.send(get(target()) + upgradeRequest(''));
				await raw.until(() => raw.received.length > 0, 'answer');
				if (i % 2) raw.socket.resetAndDestroy();
				else raw.close();
			}));
		assert.equal((await ask(get(target()))).status, 200);
	});
	test('the peer vanishes', async () => {
		const raw = await openRawWebSocket();
		const sid = JSON.parse((await nextFrame(raw)).payload.subarray(1)).sid;
		raw.socket.resetAndDestroy();
		await ask(get('/engine.io/?transport=none'));
		await assertGone(sid);
	});
});

describe('upgrade', () => {
	async function probe(sid, query = '') {
		const socket = connectWebSocket(`&sid=${sid}${query}`);
		await heard(socket, 'open');
		socket.send('2probe');
		assert.equal(await socket.next(), '3probe');
		return socket;
	}
	test('probe, noop for the held GET, switch, flush', async () => {
		const sid = await open();
		const held = await hold(sid);
		const socket = await probe(sid);
		assert.equal((await held.answer()).body, '6');
		held.close();
		assert.equal((await ask(poll(sid))).body, '6');
		await ask(push(sid, '4queued'));
		socket.send('5');
		assert.equal(await socket.nextMessage(), '4queued');
		socket.send('4direct');
		assert.equal(await socket.nextMessage(), '4direct');
		await assertError(poll(sid), 3);
		await assertError(push(sid, '4x'), 3);
		socket.close();
		await socket.closed;
		await assertGone(sid);
	});
	test('until the switch packets go to GETs', async () => {
		const sid = await open();
		const socket = await probe(sid);
		await ask(push(sid, '4one'));
		assert.equal((await ask(poll(sid))).body, '4one');
		socket.send('5');
		socket.send('4two');
		assert.equal(await socket.nextMessage(), '4two');
		socket.close();
	});
	test('probe and switch in one segment, as text', async () => {
		const sid = await open();
		const raw = new Raw();
		raw.send(upgradeRequest(`&sid=${sid}`));
		assert.equal((await raw.answer()).status, 101);
		raw.send(Buffer.concat([frame(1, '2probe'), frame(1, '5'), frame(1, '4x')]));
		assert.equal(String((await nextFrame(raw)).payload), '3probe');
		assert.equal(String((await nextFrame(raw)).payload), '4x');
		raw.close();
	});
	test('a second WebSocket is closed alone', async () => {
		const sid = await open();
		const socket = await probe(sid);
		await connectWebSocket(`&sid=${sid}`).closed;
		socket.send('5');
		await connectWebSocket(`&sid=${sid}`).closed;
		socket.send('4x');
		assert.equal(await socket.nextMessage(), '4x');
		socket.close();
	});
	test('anything else on the probe closes it; polling goes on', async () => {
		for (const first of ['2', '5', '4x', 'abc', Buffer.from('2probe')]) {
			const sid = await open();
			const socket = connectWebSocket(`&sid=${sid}`);
			await heard(socket, 'open');
			socket.send(first);
			await socket.closed;
			await ask(push(sid, '4still'));
			assert.equal((await ask(poll(sid))).body, '4still');
		}
	});
	test('a WebSocket that dies in the middle leaves polling as it was', async () => {
		const sid = await open();
		const socket = await probe(sid);
		socket.terminate();
		await socket.closed;
		const held = await hold(sid);
		await ask(push(sid, '4still'));
		assert.equal((await held.answer()).body, '4still');
		held.close();
		const again = await probe(sid);
		again.send('5');
		again.send('4x');
		assert.equal(await again.nextMessage(), '4x');
		again.close();
	});
	test('the session closes: so does the probe', async () => {
		const sid = await open();
		const socket = await probe(sid);
		await ask(push(sid, '1'));
		await socket.closed;
		await assertGone(sid);
	});
	test('a probe without the switch is dropped in time', async () => {
		const other = await startServer('--upgrade-timeout=100', '--ping-interval=25000');
		const raw = new Raw(other.port);
		raw.send(get(target()));
		const sid = JSON.parse((await raw.answer()).body.slice(1)).sid;
		const socket = new WebSocket(`ws://127.0.0.1:${other.port}/engine.io/?EIO=4&transport=websocket&sid=${sid}`);
		await heard(socket, 'close');
		raw.send(push(sid, '4x') + poll(sid));
		assert.equal((await raw.answer()).body, 'ok');
		assert.equal((await raw.answer()).body, '4x');
		raw.close();
		assert.deepEqual(await end(other.server), { code: 0, signal: null });
	});
});

test('ends with sessions, held GETs and WebSockets open', async () => {
	const other = await startServer();
	const raw = new Raw(other.port);
	raw.send(get(target()));
	const sid = JSON.parse((await raw.answer()).body.slice(1)).sid;
	raw.send(poll(sid));
	const socket = new WebSocket(`ws://127.0.0.1:${other.port}/engine.io/?EIO=4&transport=websocket`);
	await heard(socket, 'message');
	assert.deepEqual(await end(other.server), { code: 0, signal: null });
	assert.equal((await raw.answer()).body, '1');
	raw.close();
});
