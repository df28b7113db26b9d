// SPDX-License-Identifier: Apache-2.0
// A certified OpenID provider on loopback. One line of JSON on stdin says how it is set up, one on
// stdout where it is; POST /test/rotate gives it a new key to sign with, beside the former ones.
import { createServer } from "node:http";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";

import Provider from "oidc-provider";

const [line] = await once(createInterface({ input: process.stdin }), "line");
const { clientKey, redirectUri, requireNonce, scopes, tokenSeconds } = JSON.parse(line);

const keys = [];
const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/test/rotate") {
    addKey();
    serve();
    response.end();
    return;
  }
  answer(request, response);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;
const nonceSecret = randomBytes(32);
const cookieKeys = [randomUUID()];
let answer;

function addKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = privateKey.export({ format: "jwk" });
  keys.unshift({ ...key, alg: "ES256", use: "sig", kid: randomUUID() });
}

function machine(id, ways) {
  return {
    client_id: id,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    scope: scopes.join(" "),
    ...ways,
  };
}

function serve() {
  const withKey = { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [clientKey] } };
  const withSecret = {
    client_secret: "known-to-these-tests-only",
    token_endpoint_auth_method: "client_secret_basic",
  };
  const provider = new Provider(issuer, {
    clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    clients: [
      machine("machine-with-secret", withSecret),
      machine("machine-with-key", withKey),
      machine("machine-with-dpop", { ...withKey, dpop_bound_access_tokens: true }),
      machine("resource-server", withSecret),
      {
        client_id: "person",
        grant_types: ["authorization_code"],
        redirect_uris: [redirectUri],
        response_types: ["code"],
        scope: ["openid", ...scopes].join(" "),
        token_endpoint_auth_method: "none",
      },
    ],
    cookies: { keys: cookieKeys },
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      dPoP: { enabled: true, nonceSecret, requireNonce: () => requireNonce },
      introspection: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_context, _client, one) => one,
        getResourceServerInfo: (_context, resource) => ({
          accessTokenFormat: resource.endsWith("/opaque") ? "opaque" : "jwt",
          accessTokenTTL: tokenSeconds,
          audience: resource,
          jwt: { sign: { alg: "ES256" } },
          scope: scopes.join(" "),
        }),
        useGrantedResource: () => true,
      },
      revocation: { enabled: true },
    },
    findAccount: (_context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    jwks: { keys },
    scopes: ["openid", ...scopes],
  });
  answer = provider.callback();
}

addKey();
serve();
console.log(JSON.stringify({ issuer }));
