// SPDX-License-Identifier: Apache-2.0
// Tests of parsing and printing listen addresses; invalid ones are refused with advice.

import OutriderEndpoint
import Testing

@Suite struct ListenAddressTests {
    @Test(arguments: [
        "127.0.0.1:9464", "0.0.0.0:1", "[::1]:9464", "[::]:0", "unix:/run/a b.sock", "systemd",
        "systemd:shop.socket",
    ])
    func `an address prints as it was written`(text: String) throws {
        #expect("\(try ListenAddress(text))" == text)
    }

    @Test func `localhost means the loopback address, without a DNS lookup`() throws {
        #expect(try ListenAddress("localhost:80") == .loopback(port: 80))
    }

    @Test(arguments: [
        "", ":", ":9464", "9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0:80", "1.2.3.4.5:80", "::1:80", "[::1]",
        "[::g]:80", "[127.0.0.1]:80", "example.com:80", "unix:", "unix:relative", "unix:/a\0b",
        "unix:/" + String(repeating: "x", count: 107), "systemd:", "systemd:a:b", "systemd:\u{e4}",
        "systemd: \n", "systemd" + ":" + String(repeating: "x", count: 256), "127.0.0.1:9464 ",
        " 127.0.0.1:9464",
    ])
    func `an invalid address is refused with a valid example`(text: String) {
        let error = #expect(throws: EndpointError.self) { try ListenAddress(text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.description.contains("127.0.0.1:9464") == true)
    }

    @Test func `isLocal is true only for addresses that other machines cannot reach`() throws {
        for local in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "unix:/a"] {
            #expect(try ListenAddress(local).isLocal)
        }
        for open in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1"] {
            #expect(try !ListenAddress(open).isLocal)
        }
    }

    @Test func `url is the URL under which a local client reaches the address`() throws {
        #expect(try ListenAddress("0.0.0.0:80").url == "http://127.0.0.1:80")
        #expect(try ListenAddress("[::]:80").url == "http://[::1]:80")
        #expect(try ListenAddress("unix:/a").url == nil)
    }
}
