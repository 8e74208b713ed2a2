// SPDX-License-Identifier: Apache-2.0
// The products, and two ways to write a megabyte of them as JSON.

struct Product: Sendable {
    let id: Int
    let name: String
    let cents: Int

    var json: String { "{\"id\":\(id),\"name\":\"\(name)\",\"cents\":\(cents)}" }
}

struct Catalogue: Sendable {
    private let products: [Product]

    init(count: Int) {
        products = (0..<count).map { number in
            let name = "Product \(number), whose name is as long as marketing wanted: \(number)"
            return Product(id: number, name: name, cents: 199 + number % 10_000)
        }
    }

    func product(_ id: Int) -> Product? {
        products.indices.contains(id) ? products[id] : nil
    }

    /// The obvious way: a string for each product, and one that grows by them.
    @inline(never)
    func naiveJSON() -> String {
        var text = "["
        for product in products {
            if product.id > 0 { text += "," }
            text += product.json
        }
        return text + "]"
    }

    /// The same bytes, written into existing memory.
    @inline(never)
    func appendJSON(to buffer: inout [UInt8]) {
        buffer.append(UInt8(ascii: "["))
        for product in products {
            if product.id > 0 { buffer.append(UInt8(ascii: ",")) }
            buffer.append(contentsOf: "{\"id\":".utf8)
            append(product.id, to: &buffer)
            buffer.append(contentsOf: ",\"name\":\"".utf8)
            buffer.append(contentsOf: product.name.utf8)
            buffer.append(contentsOf: "\",\"cents\":".utf8)
            append(product.cents, to: &buffer)
            buffer.append(UInt8(ascii: "}"))
        }
        buffer.append(UInt8(ascii: "]"))
    }

    private func append(_ number: Int, to buffer: inout [UInt8]) {
        if number >= 10 { append(number / 10, to: &buffer) }
        buffer.append(UInt8(ascii: "0") + UInt8(number % 10))
    }
}
