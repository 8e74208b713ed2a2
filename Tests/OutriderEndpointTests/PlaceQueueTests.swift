// SPDX-License-Identifier: Apache-2.0

import OutriderEndpoint
import Testing

@Suite struct PlaceQueueTests {
    @Test func `a free permit goes to the request that has waited longest`() {
        let places = PlaceQueue(limit: 1)
        let first = places.come()
        #expect(places.take(first))
        let (second, third) = (places.come(), places.come())
        #expect(!places.take(second))
        places.leave()
        #expect(!places.take(third))
        #expect(places.take(second))
        places.leave()
        #expect(places.take(third))
    }

    @Test func `with enough free permits, requests may take them out of order`() {
        let places = PlaceQueue(limit: 2)
        let (first, second, third) = (places.come(), places.come(), places.come())
        #expect(!places.take(third))
        #expect(places.take(second))
        #expect(places.take(first))
        #expect(!places.take(third))
    }

    @Test func `a request that gives up delays no other`() {
        let places = PlaceQueue(limit: 1)
        let (first, second) = (places.come(), places.come())
        places.giveUp(first)
        #expect(places.take(second))
        #expect(!places.take(first))
    }

    @Test func `a page with a limit of zero admits no request`() {
        let places = PlaceQueue(limit: 0)
        #expect(!places.take(places.come()))
    }
}
