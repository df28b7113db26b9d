// SPDX-License-Identifier: Apache-2.0
// A regtest chain in memory: bcoin's own consensus, mempool and miner, and one key that owns coins.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
process.env.NODE_BACKEND = "js"; // its native parts are not built
require.cache[require.resolve("leveldown")] = { exports: null, loaded: true }; // nor is its disk

const Chain = require("bcoin/lib/blockchain/chain");
const Mempool = require("bcoin/lib/mempool/mempool");
const Miner = require("bcoin/lib/mining/miner");
const { Address, Coin, KeyRing, MTX, Script, TX } = require("bcoin");

const SEGWIT_IS_ACTIVE = 440; // regtest decides in three windows of 144 blocks
const FEE_SAT = 1000;
const HEADER_OCTETS = 80;

export class RegtestChain {
    /** Called with the height, the header and the transactions of each block, in order. */
    onBlock = () => {};

    #key = KeyRing.generate("regtest");
    #coins = [];
    #mining = Promise.resolve();

    static async start() {
        const chain = new RegtestChain();
        await chain.#open();
        return chain;
    }

    async #open() {
        this.#key.witness = true;
        const options = { network: "regtest", memory: true };
        this.chain = new Chain(options);
        this.mempool = new Mempool({ ...options, chain: this.chain });
        this.miner = new Miner({ ...options, chain: this.chain, mempool: this.mempool });
        this.miner.addAddress(this.#key.getAddress());
        this.chain.on("connect", (entry, block) => this.mempool._addBlock(entry, block.txs));
        for (const part of [this.chain, this.mempool, this.miner])
            await part.open();
        // A clock that runs late meanwhile: each block is a second after most of those before.
        this.chain.network.time.offset = -SEGWIT_IS_ACTIVE;
        await this.mine(SEGWIT_IS_ACTIVE);
        this.chain.network.time.offset = 0;
    }

    get height() {
        return this.chain.height;
    }

    /** The hash of the last block, as it is hashed. */
    get tip() {
        return Buffer.from(this.chain.tip.hash, "hex");
    }

    /** When the last block was mined, in seconds since 1970. */
    get clock() {
        return this.chain.tip.time;
    }

    /** Mines blocks, after all that are being mined. */
    mine(count = 1) {
        this.#mining = this.#mining.then(async () => {
            for (let mined = 0; mined < count; mined++) await this.#mineOne();
        });
        return this.#mining;
    }

    async #mineOne() {
        const block = await this.miner.mineBlock();
        const entry = await this.chain.add(block);
        if (!entry) throw new Error("the chain refuses the block");
        this.#coins.push(Coin.fromTX(block.txs[0], 0, entry.height));
        const header = block.toHeaders().toRaw().subarray(0, HEADER_OCTETS);
        this.onBlock(entry.height, header, block.txs.map((tx) => tx.toRaw()));
    }

    /** A signed transaction that pays `value` sat to a script. */
    async fund(script, value) {
        const mtx = new MTX();
        mtx.addOutput(Script.fromRaw(Buffer.from(script)), value);
        let missing = value + FEE_SAT;
        while (missing > 0) {
            const coin = this.#coins.shift(); // the oldest have ripened
            mtx.addCoin(coin);
            missing -= coin.value;
        }
        if (missing < 0) mtx.addOutput(this.#key.getAddress(), -missing);
        if (mtx.sign(this.#key) !== mtx.inputs.length) throw new Error("an input is not ours");
        return mtx.toRaw();
    }

    /** Takes a transaction into the mempool, which checks its scripts and rules. */
    async broadcast(raw) {
        const tx = TX.fromRaw(Buffer.from(raw));
        const missing = await this.mempool.addTX(tx);
        if (missing) throw new Error(`${tx.txid()} spends what nobody knows`);
        return tx.txid();
    }

    /** Resolves with the first transaction that waits to be mined once there is one. */
    async waiting() {
        if (this.mempool.map.size === 0)
            await new Promise((resolve) => this.mempool.once("tx", resolve));
        const [{ tx }] = this.mempool.map.values();
        return { id: tx.txid(), outputs: tx.outputs.map(({ value }) => value) };
    }

    /** How many blocks confirm a transaction that was mined at a height or later. */
    async confirmations(id, since) {
        for (let height = since; height <= this.height; height++) {
            const block = await this.chain.getBlock(height);
            if (block.txs.some((tx) => tx.txid() === id)) return this.height - height + 1;
        }
        return 0;
    }
}
