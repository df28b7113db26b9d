// SPDX-License-Identifier: Apache-2.0
// JSON over HTTP on a loopback port: routes by method and path, a secret in a header.

import { once } from "node:events";
import http from "node:http";

/** An answer other than 200 with what a route returns. */
export class Refusal extends Error {
    constructor(status, body) {
        super(body.message);
        this.status = status;
        this.body = body;
    }
}

/** What a route returns to answer with lines of JSON as they come: `write` takes one, null ends. */
export class Lines {
    constructor(begin) {
        this.begin = begin;
    }
}

/**
 * Serves `routes`, a list of [method, pattern of the path, route(groups, body, query)].
 *
 * Every request passes `admit(headers)` first, which throws for those that may not.
 */
export async function serve(routes, admit = () => {}) {
    const server = http.createServer(async (request, response) => {
        try {
            const answer = await dispatch(routes, admit, request);
            if (answer instanceof Lines) return stream(answer, response);
            reply(response, 200, answer);
        } catch (error) {
            reply(response, error.status ?? 500,
                error.body ?? { code: 2, message: error.message, details: [] });
        }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return `http://127.0.0.1:${server.address().port}`;
}

async function dispatch(routes, admit, request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    admit(request.headers);
    const { pathname, searchParams } = new URL(request.url, "http://loopback");
    for (const [method, pattern, route] of routes) {
        const match = method === request.method && new RegExp(`^${pattern}$`).exec(pathname);
        if (!match) continue;
        const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : {};
        return route(match.groups ?? {}, body, searchParams);
    }
    throw new Refusal(404, { code: 5, message: "Not Found", details: [] });
}

function reply(response, status, body) {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
}

function stream({ begin }, response) {
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const stop = begin((line) => line === null
        ? response.end()
        : response.write(`${JSON.stringify(line)}\n`));
    response.on("close", () => stop?.());
}
