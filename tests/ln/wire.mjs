// SPDX-License-Identifier: Apache-2.0
// LDK's peers over real TCP on loopback: the noise of BOLT 8 is on the sockets.

import { once } from "node:events";
import net from "node:net";
import * as ldk from "lightningdevkit";

let sockets = 0n;

export class Wire {
    #peers;
    #heard;

    /** `heard` is called whenever the other side said something. */
    constructor(peers, heard) {
        this.#peers = peers;
        this.#heard = heard;
    }

    async listen() {
        this.server = net.createServer((socket) => {
            const descriptor = this.#descriptor(socket);
            this.#peers.new_inbound_connection(
                descriptor, ldk.Option_SocketAddressZ.constructor_none());
        });
        this.server.listen(0, "127.0.0.1");
        await once(this.server, "listening");
        return this.server.address().port;
    }

    async connect(port, peer) {
        const socket = net.connect(port, "127.0.0.1");
        await once(socket, "connect");
        const descriptor = this.#descriptor(socket);
        const first = this.#peers.new_outbound_connection(
            peer, descriptor, ldk.Option_SocketAddressZ.constructor_none());
        socket.write(first.res);
    }

    /** Resolves when both sides know each other. */
    async greeted() {
        while (this.#peers.list_peers().length === 0)
            await new Promise((resolve) => setImmediate(resolve));
    }

    #descriptor(socket) {
        const number = ++sockets;
        const descriptor = ldk.SocketDescriptor.new_impl({
            send_data: (data) => {
                socket.write(Buffer.from(data));
                return data.length;
            },
            disconnect_socket: () => socket.destroy(),
            eq: (other) => other.hash() === number,
            hash: () => number,
        });
        socket.on("data", (data) => {
            this.#peers.read_event(descriptor, data);
            this.#heard();
        });
        socket.on("close", () => this.#peers.socket_disconnected(descriptor));
        return descriptor;
    }
}
