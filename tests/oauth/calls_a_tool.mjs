// SPDX-License-Identifier: Apache-2.0
// The stock MCP clients for TypeScript, signing in as machines. One line of JSON on stdin says
// where and as whom, one on stdout what each call of the tool came to.
import { once } from "node:events";
import { createInterface } from "node:readline";

import * as second from "@modelcontextprotocol/client";
import * as firstAuth from "@modelcontextprotocol/sdk/client/auth-extensions.js";
import { Client as FirstClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as FirstTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [line] = await once(createInterface({ input: process.stdin }), "line");
const { line: which, mode, url, as, tool, times } = JSON.parse(line);

const withDpop = (provider) =>
  class extends provider {
    session = second.DpopSession.create();
    dpop() {
      return this.session;
    }
  };

// "1" is the line of the handshake, "2" speaks either era.
const lines = {
  1: {
    provider: (ways) => new firstAuth[ways.privateKey ? "PrivateKeyJwtProvider" : "ClientCredentialsProvider"](ways),
    client: () => new FirstClient({ name: "test", version: "1" }),
    transport: (options) => new FirstTransport(new URL(url), options),
  },
  2: {
    provider: ({ dpop, ...ways }) => {
      const provider = ways.privateKey ? second.PrivateKeyJwtProvider : second.ClientCredentialsProvider;
      return new (dpop ? withDpop(provider) : provider)(ways);
    },
    client: () => new second.Client({ name: "test", version: "1" }, { versionNegotiation: { mode } }),
    transport: (options) => new second.StreamableHTTPClientTransport(new URL(url), options),
  },
};

const sdk = lines[which];
const client = sdk.client();
await client.connect(sdk.transport({ authProvider: sdk.provider(as) }));
const results = [];
for (let time = 0; time < times; time += 1) {
  const result = await client.callTool(tool);
  results.push({ isError: result.isError === true, text: result.content[0]?.text ?? "" });
}
console.log(JSON.stringify(results));
await client.close();
process.exit(0);
