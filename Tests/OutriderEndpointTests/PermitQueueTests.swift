// SPDX-License-Identifier: Apache-2.0

import OutriderEndpoint
import Testing

@Suite struct PermitQueueTests {
    @Test func `a free permit goes to the request that has waited longest`() {
        let permits = PermitQueue(limit: 1)
        let first = permits.join()
        #expect(permits.acquire(first))
        let (second, third) = (permits.join(), permits.join())
        #expect(!permits.acquire(second))
        permits.release()
        #expect(!permits.acquire(third))
        #expect(permits.acquire(second))
        permits.release()
        #expect(permits.acquire(third))
    }

    @Test func `with enough free permits, requests may take them out of order`() {
        let permits = PermitQueue(limit: 2)
        let (first, second, third) = (permits.join(), permits.join(), permits.join())
        #expect(!permits.acquire(third))
        #expect(permits.acquire(second))
        #expect(permits.acquire(first))
        #expect(!permits.acquire(third))
    }

    @Test func `a request that gives up delays no other`() {
        let permits = PermitQueue(limit: 1)
        let (first, second) = (permits.join(), permits.join())
        permits.cancel(first)
        #expect(permits.acquire(second))
        #expect(!permits.acquire(first))
    }

    @Test func `a page with a limit of zero admits no request`() {
        let permits = PermitQueue(limit: 0)
        #expect(!permits.acquire(permits.join()))
    }
}
