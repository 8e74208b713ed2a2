// SPDX-License-Identifier: Apache-2.0

import OutriderEndpoint
import Testing

@Suite struct PlaceQueueTests {
    @Test func `A place that comes free is for the one that has waited longest`() {
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

    @Test func `Who came early enough for a free place need not be first to ask`() {
        let places = PlaceQueue(limit: 2)
        let (first, second, third) = (places.come(), places.come(), places.come())
        #expect(!places.take(third))
        #expect(places.take(second))
        #expect(places.take(first))
        #expect(!places.take(third))
    }

    @Test func `Who gives up holds nobody back`() {
        let places = PlaceQueue(limit: 1)
        let (first, second) = (places.come(), places.come())
        places.giveUp(first)
        #expect(places.take(second))
        #expect(!places.take(first))
    }

    @Test func `A page that bears none lets nobody in`() {
        let places = PlaceQueue(limit: 0)
        #expect(!places.take(places.come()))
    }
}
