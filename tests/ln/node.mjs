// SPDX-License-Identifier: Apache-2.0
// One Lightning node: LDK's channel manager, router and peer manager, told of blocks and sockets.

import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as ldk from "lightningdevkit";
import { Wire } from "./wire.mjs";

const require = createRequire(import.meta.url);
const FEERATE = 253; // sat per 1000 units of weight: the least that is relayed
const INVOICE_CLTV = 24;
const MOST_DUST_MSAT = 500_000_000n;

export async function loadLightning() {
    const folder = dirname(require.resolve("lightningdevkit"));
    await ldk.initializeWasmFromBinary(await readFile(join(folder, "liblightningjs.wasm")));
}

const FAILURES = {
    [ldk.RetryableSendFailure.LDKRetryableSendFailure_PaymentExpired]: "invoice expired",
    [ldk.RetryableSendFailure.LDKRetryableSendFailure_DuplicatePayment]: "invoice is already paid",
    [ldk.RetryableSendFailure.LDKRetryableSendFailure_RouteNotFound]: "no route",
};

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const now = () => Math.floor(Date.now() / 1000);

/** Small payments, one beside another, however little of them a close on the chain would save. */
function settings() {
    const config = ldk.UserConfig.constructor_default();
    const channel = config.get_channel_config();
    channel.set_max_dust_htlc_exposure(
        ldk.MaxDustHTLCExposure.constructor_fixed_limit_msat(MOST_DUST_MSAT));
    config.set_channel_config(channel);
    return config;
}

/** The value of one of LDK's results. */
function taken(result, doing) {
    if (result.is_ok()) return result.res;
    throw new Error(`${doing}: ${result.err?.err ?? result.err}`);
}

/** Emits what LDK tells, under the names of its events: "PaymentSent" and so on. */
export class LightningNode extends EventEmitter {
    /** Given the hex hash of a payment that arrived: the preimage to claim it with, or null. */
    claims = () => null;

    constructor(chain) {
        super();
        this.setMaxListeners(0);
        const network = ldk.Network.LDKNetwork_Regtest;
        const fees = ldk.FeeEstimator.new_impl({ get_est_sat_per_1000_weight: () => FEERATE });
        const broadcaster = ldk.BroadcasterInterface.new_impl({
            broadcast_transactions: (raws) => raws.forEach((raw) => this.emit("broadcast", raw)),
        });
        const logger = ldk.Logger.new_impl({ log: () => {} });
        const done = ldk.ChannelMonitorUpdateStatus.LDKChannelMonitorUpdateStatus_Completed;
        const persister = ldk.Persist.new_impl({
            persist_new_channel: () => done,
            update_persisted_channel: () => done,
            archive_persisted_channel: () => {},
        });
        this.monitor = ldk.ChainMonitor.constructor_new(
            ldk.Option_FilterZ.constructor_none(), broadcaster, logger, fees, persister);
        const keys = ldk.KeysManager.constructor_new(randomBytes(32), BigInt(now()), 0);
        const entropy = keys.as_EntropySource();
        const graph = ldk.NetworkGraph.constructor_new(network, logger);
        const scorer = ldk.ProbabilisticScorer.constructor_new(
            ldk.ProbabilisticScoringDecayParameters.constructor_default(), graph, logger);
        const score = ldk.MultiThreadedLockableScore.constructor_new(scorer.as_Score());
        const router = ldk.DefaultRouter.constructor_new(
            graph, logger, entropy, score.as_LockableScore(),
            ldk.ProbabilisticScoringFeeParameters.constructor_default());
        const messages = ldk.DefaultMessageRouter.constructor_new(graph, entropy);
        this.manager = ldk.ChannelManager.constructor_new(
            fees, this.monitor.as_Watch(), broadcaster, router.as_Router(),
            messages.as_MessageRouter(), logger, entropy, keys.as_NodeSigner(),
            keys.as_SignerProvider(), settings(),
            ldk.ChainParameters.constructor_new(
                network, ldk.BestBlock.constructor_new(chain.tip, chain.height)),
            now());
        const ignorer = ldk.IgnoringMessageHandler.constructor_new();
        this.peers = ldk.PeerManager.constructor_new(
            this.manager.as_ChannelMessageHandler(), ignorer.as_RoutingMessageHandler(),
            ignorer.as_OnionMessageHandler(), ignorer.as_CustomMessageHandler(), now(),
            entropy.get_secure_random_bytes(), logger, keys.as_NodeSigner());
        this.wire = new Wire(this.peers, () => this.turn());
        this.handler = ldk.EventHandler.new_impl({
            handle_event: (event) => {
                this.#hear(event);
                return ldk.Result_NoneReplayEventZ.constructor_ok();
            },
        });
        this.id = this.manager.get_our_node_id();
    }

    /** Lets LDK say what it has to say; asked for after whatever may have given it cause. */
    turn() {
        if (this.turning) return;
        this.turning = setImmediate(() => {
            this.turning = null;
            this.manager.as_EventsProvider().process_pending_events(this.handler);
            this.monitor.as_EventsProvider().process_pending_events(this.handler);
            this.peers.process_events();
        });
    }

    #hear(event) {
        const name = event.constructor.name.replace("Event_", "");
        if (name === "PendingHTLCsForwardable")
            setImmediate(() => { this.manager.process_pending_htlc_forwards(); this.turn(); });
        else if (name === "PaymentClaimable")
            setImmediate(() => { this.#claim(event.payment_hash); this.turn(); });
        this.emit(name, event);
        this.turn();
    }

    #claim(hash) {
        const preimage = this.claims(hex(hash));
        if (preimage) this.manager.claim_funds(preimage);
        else this.manager.fail_htlc_backwards(hash);
    }

    /** Tells of a block: its 80 octets of header, and its raw transactions. */
    connect(height, header, transactions) {
        const confirmed = transactions.map((raw, position) =>
            ldk.TwoTuple_usizeTransactionZ.constructor_new(position, raw));
        for (const part of [this.manager.as_Confirm(), this.monitor.as_Confirm()]) {
            part.transactions_confirmed(header, confirmed, height);
            part.best_block_updated(header, height);
        }
        this.turn();
    }

    /** Resolves with the next event of a name. */
    async heard(name) {
        const [event] = await once(this, name);
        return event;
    }

    async openChannel(peer, sat, pushedSat, fund) {
        const asked = this.heard("FundingGenerationReady");
        taken(this.manager.create_channel(peer, BigInt(sat), BigInt(pushedSat) * 1000n, 1n, null, null),
            "the channel was not opened");
        this.turn();
        const { temporary_channel_id, output_script } = await asked;
        const broadcast = once(this, "broadcast");
        taken(this.manager.funding_transaction_generated(
            temporary_channel_id, peer, await fund(output_script, sat)), "no funding");
        this.turn();
        await broadcast;
    }

    closeChannel() {
        const [channel] = this.manager.list_channels();
        taken(this.manager.close_channel(
            channel.get_channel_id(), channel.get_counterparty().get_node_id()),
        "the channel was not closed");
        this.turn();
    }

    /** A BOLT 11 text that runs out `expiry` seconds after the last block. */
    invoice(msat, memo, expiry, hash) {
        return taken(
            ldk.UtilMethods.constructor_create_invoice_from_channelmanager_with_payment_hash(
                this.manager, ldk.Option_u64Z.constructor_some(BigInt(msat)), memo, expiry, hash,
                ldk.Option_u16Z.constructor_some(INVOICE_CLTV)),
            "no invoice").to_str();
    }

    /**
     * Pays an invoice once, and not when it has expired.
     *
     * `insist` pays whatever the time and however often; `msat` sends another amount than is asked.
     */
    async pay(text, { insist = false, msat } = {}) {
        const invoice = taken(ldk.Bolt11Invoice.constructor_from_str(text), "not an invoice");
        if (!insist && invoice.would_expire(BigInt(now()))) throw new Error("invoice expired");
        const asked = taken(ldk.UtilMethods.constructor_payment_parameters_from_invoice(invoice),
            "the invoice names no amount");
        const [hash, onion, route] = [asked.get_a(), asked.get_b(), asked.get_c()];
        if (msat !== undefined) route.set_final_value_msat(BigInt(msat));
        const id = insist ? randomBytes(32) : hash;
        const end = this.#endOf(hex(id));
        const sent = this.manager.send_payment(
            hash, onion, id, route, ldk.Retry.constructor_attempts(0));
        if (!sent.is_ok()) throw new Error(FAILURES[sent.err] ?? `not sent: ${sent.err}`);
        this.turn();
        return {
            hash: hex(hash), preimage: await end, msat: Number(route.get_final_value_msat()),
        };
    }

    /** The preimage that a payment brings. */
    #endOf(id) {
        return new Promise((resolve, reject) => {
            const sent = (event) => settle(event.payment_id.some, resolve,
                () => hex(event.payment_preimage));
            const failed = (event) => settle(event.payment_id, reject,
                () => new Error(ldk.PaymentFailureReason[event.reason.some]));
            const settle = (whose, done, with_) => {
                if (hex(whose) !== id) return;
                this.off("PaymentSent", sent).off("PaymentFailed", failed);
                done(with_());
            };
            this.on("PaymentSent", sent).on("PaymentFailed", failed);
        });
    }
}
