// SPDX-License-Identifier: Apache-2.0
// The part of LND's REST that a seller uses, before the gate's node.

import { Lines, Refusal, serve } from "./json_http.mjs";

const base64 = (bytes) => Buffer.from(bytes).toString("base64");

/** Refuses as LND does who lacks the macaroon. */
export function onlyWith(macaroon) {
    return (headers) => {
        const given = headers["grpc-metadata-macaroon"];
        const message = given === undefined
            ? "expected 1 macaroon, got 0"
            : "verification failed: signature mismatch after caveat verification";
        if (given !== macaroon) throw new Refusal(500, { code: 2, message, details: [] });
    };
}

export function serveGate(invoices, macaroon) {
    const shown = (invoice) => ({ // 64-bit integers are strings, as in all of LND's JSON
        memo: invoice.memo,
        r_preimage: base64(invoice.preimage),
        r_hash: base64(invoice.hash),
        value: `${Math.floor(invoice.msat / 1000)}`,
        value_msat: `${invoice.msat}`,
        settled: invoice.settleIndex > 0,
        creation_date: `${invoice.createdAt}`,
        settle_date: `${invoice.settledAt}`,
        payment_request: invoice.text,
        expiry: `${invoice.expiry}`,
        add_index: `${invoice.index}`,
        settle_index: `${invoice.settleIndex}`,
        amt_paid_sat: `${Math.floor(invoice.paidMsat / 1000)}`,
        amt_paid_msat: `${invoice.paidMsat}`,
        state: invoices.state(invoice),
    });

    async function add(_, { value, value_msat, memo = "", expiry = 86_400, r_preimage }) {
        const msat = Number(value_msat ?? 0) || Number(value ?? 0) * 1000;
        const preimage = r_preimage && Buffer.from(r_preimage, "base64");
        if (preimage && preimage.length !== 32)
            throw new Refusal(400, { code: 3, message: "preimage must be 32 bytes", details: [] });
        const invoice = await invoices.add(msat, memo, Number(expiry), preimage || undefined);
        return {
            r_hash: base64(invoice.hash), payment_request: invoice.text,
            add_index: `${invoice.index}`,
        };
    }

    function find(hash) {
        const invoice = invoices.find(hash);
        const unknown = { code: 5, message: "unable to locate invoice", details: [] };
        if (!invoice) throw new Refusal(404, unknown);
        return invoice;
    }

    function follow(backlog, concerns) {
        return new Lines((write) => {
            const tell = (invoice) => concerns(invoice) && write({ result: shown(invoice) });
            backlog.forEach(tell);
            invoices.on("changed", tell);
            return () => invoices.off("changed", tell);
        });
    }

    return serve([
        ["GET", "/v1/getinfo", () => ({
            identity_pubkey: Buffer.from(invoices.node.id).toString("hex"),
            block_height: invoices.chain.height,
            synced_to_chain: true,
            chains: [{ chain: "bitcoin", network: "regtest" }],
        })],
        ["POST", "/v1/invoices", add],
        ["GET", "/v1/invoices/subscribe", (_, __, query) =>
            follow(invoices.settledSince(Number(query.get("settle_index")) || Infinity), () => true)],
        ["GET", "/v1/invoice/(?<hash>[0-9a-f]{64})", ({ hash }) => shown(find(hash))],
        ["GET", "/v2/invoices/subscribe/(?<hash>[^/]+)", ({ hash }) => {
            const one = find(Buffer.from(decodeURIComponent(hash), "base64url").toString("hex"));
            return follow([one], (other) => other === one);
        }],
    ], onlyWith(macaroon));
}
