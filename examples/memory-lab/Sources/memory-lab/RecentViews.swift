// SPDX-License-Identifier: Apache-2.0
// What each visitor has looked at. There is a mistake in it.

import Foundation

/// The products that visitors looked at, by their sessions.
actor RecentViews {
    private struct View {
        let product: Product
        let time: Date
        let page: String
    }

    private var views: [String: [View]] = [:]

    /// Remembers that somebody looked at a product.
    ///
    /// Sessions that are over are never forgotten: after three days, this is most of the memory.
    @inline(never)
    func remember(_ product: Product, session: String) {
        let page = "page of the product \(product.id): \(product.name), \(product.cents) cents"
        views[session, default: []].append(View(product: product, time: Date(), page: page))
    }
}
