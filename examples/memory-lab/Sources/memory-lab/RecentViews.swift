// SPDX-License-Identifier: Apache-2.0
// The products that each visitor viewed. This has a bug.

import Foundation

/// The products that visitors viewed, by session.
actor RecentViews {
    private struct View {
        let product: Product
        let time: Date
        let page: String
    }

    private var views: [String: [View]] = [:]

    /// Records that a visitor viewed a product.
    ///
    /// Expired sessions are never removed: after three days, they are most of the memory.
    @inline(never)
    func remember(_ product: Product, session: String) {
        let page = "page of the product \(product.id): \(product.name), \(product.cents) cents"
        views[session, default: []].append(View(product: product, time: Date(), page: page))
    }
}
