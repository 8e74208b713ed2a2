// SPDX-License-Identifier: Apache-2.0
// Tests of sockets passed by a supervisor: parsed as sd_listen_fds(3) specifies, and only if they
// are for this process.

import Glibc
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct PassedSocketsTests {
    private func passed(
        pid: String? = "77", count: String?, names: String? = nil
    ) -> PassedSockets {
        PassedSockets(pid: pid, count: count, names: names, process: 77)
    }

    @Test func `sockets are found by name, starting with descriptor 3`() {
        let sockets = passed(count: "3", names: "shop:outrider:shop.socket")
        #expect(sockets.descriptor(named: "shop") == 3)
        #expect(sockets.descriptor(named: "outrider") == 4)
        #expect(sockets.descriptor(named: "shop.socket") == 5)
        #expect(sockets.descriptor(named: "other") == nil)
        #expect(sockets.descriptor(named: nil) == 4)
    }

    @Test func `a single socket needs no name, one of several does`() {
        #expect(passed(count: "1").descriptor(named: nil) == 3)
        #expect(passed(count: "1", names: "shop").descriptor(named: nil) == 3)
        #expect(passed(count: "1").descriptor(named: "outrider") == nil)
        #expect(passed(count: "2", names: "shop:chat").descriptor(named: nil) == nil)
    }

    @Test(arguments: ["78", "", "-1", "x", "99999999999999999999"])
    func `sockets for another process are ignored`(pid: String) {
        #expect(passed(pid: pid, count: "1").sockets.isEmpty)
        #expect(passed(pid: nil, count: "1").sockets.isEmpty)
    }

    @Test(arguments: [nil, "", "0", "-1", "x", "1025", "99999999999999999999"])
    func `an invalid socket count yields no sockets`(count: String?) {
        #expect(passed(count: count).sockets.isEmpty)
    }

    @Test func `too few or too many names are tolerated`() {
        #expect(passed(count: "2", names: "outrider").descriptor(named: "outrider") == 3)
        #expect(passed(count: "1", names: "a:outrider").descriptor(named: "outrider") == nil)
        #expect(passed(count: "2", names: ":outrider").descriptor(named: "outrider") == 4)
    }

    @Test func `without passed sockets, starting fails and suggests a remedy`() throws {
        for address in ["systemd", "systemd:outrider"] {
            let error = #expect(throws: EndpointError.self) {
                try startEndpoint(at: try ListenAddress(address))
            }
            #expect(error?.code == .socketNotPassed)
            #expect(error?.description.contains("FileDescriptorName=outrider") == true)
        }
        #expect(ListenAddress.passedToAgent == nil)
    }

    @Test func `a descriptor that does not listen has no address`() {
        #expect(SocketAddress.listening(on: -1) == nil)
        #expect(SocketAddress.listening(on: STDIN_FILENO) == nil)
        let unbound = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(unbound) }
        #expect(SocketAddress.listening(on: unbound) == nil)
    }
}
