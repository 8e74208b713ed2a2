// SPDX-License-Identifier: Apache-2.0
// Tests of admission when there are too many connections: no client waits, and no address excludes
// another. Virtual time does not advance, so a client that had to wait would hang the test.

import OutriderEndpoint
import OutriderThreading
import TestSupport
import Testing

@Suite struct AdmissionTests {
    private let time = ManualTime()
    private let table: ConnectionTable
    private let attacker: [UInt8] = [127, 0, 7, 1]
    private let prober: [UInt8] = [127, 0, 0, 9]

    init() {
        table = ConnectionTable(limits: Endpoint.Limits(), time: time, onCut: { _ in })
    }

    /// Opens connections from an address and marks each as in use, with its request being handled.
    private func occupy(_ count: Int, from address: [UInt8]) throws -> [SocketPair] {
        try (0..<count).compactMap { _ in
            let pair = try SocketPair()
            guard let id = table.admit(pair.near, from: address) else { return nil }
            table.noteRequest(id)
            return pair
        }
    }

    @Test func `an address whose connections are all in use gets twice its limit and no more`()
        throws
    {
        let inUse = try occupy(200, from: attacker)
        #expect(inUse.count == 64)
        #expect(inUse.allSatisfy { !$0.isCut })
        let pair = try SocketPair()
        #expect(table.admit(pair.near, from: prober) != nil)
    }

    @Test func `a probe is admitted even when other addresses use all connections`() throws {
        var inUse: [ConnectionTable.ID: SocketPair] = [:]
        for last in 0..<200 * 10 {
            let pair = try SocketPair()
            let attacker = [127, 0, 7, UInt8(last % 200 + 1)]
            guard let id = table.admit(pair.near, from: attacker) else { continue }
            table.noteRequest(id)
            inUse[id] = pair
            // Their threads notice the cut and end.
            for (id, pair) in inUse where pair.isCut {
                table.remove(id)
                inUse[id] = nil
            }
            if last % 200 != 199 { continue }
            let probe = try SocketPair()
            let probeID = try #require(table.admit(probe.near, from: prober))
            table.noteRequest(probeID)
            #expect(!probe.isCut)
            table.remove(probeID)
        }
        // Everything is bounded.
        #expect(inUse.count <= 256)
    }

    @Test func `new connections without a request evict each other, and never a probe`() throws {
        let probe = try SocketPair()
        let id = try #require(table.admit(probe.near, from: prober))
        var crowd: [SocketPair] = []
        for _ in 0..<100 {
            let pair = try SocketPair()
            _ = table.admit(pair.near, from: attacker)
            crowd.append(pair)
        }
        #expect(crowd.count(where: \.isCut) >= 36)
        #expect(!probe.isCut)
        table.noteRequest(id)
        let second = try SocketPair()
        #expect(table.admit(second.near, from: prober) != nil)
        withExtendedLifetime(crowd) {}
    }

    @Test func `a client that sends its request byte by byte gives way to one of the same address`()
        throws
    {
        let drips = try (0..<96).map { _ in
            let pair = try SocketPair()
            // Its thread has not read the byte yet.
            try pair.sendByte()
            _ = try #require(table.admit(pair.near, from: attacker))
            return pair
        }
        let refused = try SocketPair()
        #expect(table.admit(refused.near, from: attacker) == nil)
        time.advance(by: .milliseconds(150))
        let pair = try SocketPair()
        #expect(table.admit(pair.near, from: attacker) != nil)
        withExtendedLifetime(drips) {}
    }

    @Test func `a client that has not had time to send a request is not the one evicted`() throws {
        // No client has sent anything: the far ends are open but silent.
        let pairs = try (0..<64).map { _ in try SocketPair() }
        let own: [UInt8] = [127, 0, 0, 1]
        _ = table.admit(pairs[0].near, from: own)
        for pair in pairs[1..<63] {
            table.noteRequest(try #require(table.admit(pair.near, from: own)))
        }
        #expect(!pairs[0].isCut)
        time.advance(by: .milliseconds(150))
        _ = table.admit(pairs[63].near, from: own)
        #expect(pairs[0].isCut)
        #expect(!pairs[1].isCut && !pairs[63].isCut)
    }

    @Test(arguments: [
        ([UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 127, 0, 7, 1], [127, 0, 7, 1]),
        (
            [0x20, 1, 0xD, 0xB8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8],
            [0x20, 1, 0xD, 0xB8, 0, 0, 0, 1, 8, 7, 6, 5, 4, 3, 2, 1]
        ),
    ])
    func `a /64 network, or either form of an IPv4 address, counts as one client`(
        first: [UInt8], second: [UInt8]
    ) {
        #expect(ClientAddress(first) == ClientAddress(second))
    }

    @Test func `loopback addresses are not grouped into one network`() {
        let loopback = [UInt8](repeating: 0, count: 15) + [1]
        #expect(ClientAddress(loopback) != ClientAddress([UInt8](repeating: 0, count: 15) + [2]))
    }

    @Test func `a connection whose descriptor the service closed is left alone and counted`() throws
    {
        let lost = Guarded(0)
        let table = ConnectionTable(
            limits: Endpoint.Limits(), time: time, onLostDescriptor: { lost.withLock { $0 += 1 } },
            onCut: { _ in })
        let ours = try SocketPair()
        #expect(table.admit(ours.near, from: attacker) != nil)
        // The service closes a descriptor it does not own, then opens one of its own.
        let theirs = try SocketPair()
        #expect(theirs.replace(ours))
        table.endAll()
        #expect(!theirs.isCut)
        #expect(lost.withLock { $0 } == 1)
    }
}
