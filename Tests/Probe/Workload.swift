// SPDX-License-Identifier: Apache-2.0
// `outrider-probe workload NAME`: allocation patterns of services, for tests that observe malloc
// from outside.

import Dispatch
import Foundation

/// Workloads that allocate like a Swift service.
enum Workload {
    private final class Node {
        let left: Node?
        let right: Node?

        init(depth: Int) {
            left = depth > 0 ? Node(depth: depth - 1) : nil
            right = depth > 0 ? Node(depth: depth - 1) : nil
        }

        var count: Int { 1 + (left?.count ?? 0) + (right?.count ?? 0) }
    }

    private struct Order: Codable {
        var id: Int
        var customer: String
        var lines: [String: Double]
    }

    /// Runs a workload by name and prints its result.
    static func run(_ name: String) async {
        switch name {
        case "objects": print(objects())
        case "collections": print(collections())
        case "json": print(json())
        case "tasks": print(await tasks())
        case "dispatch": print(dispatch())
        default:
            FileHandle.standardError.write(
                Data("workload: objects, collections, json, tasks or dispatch\n".utf8))
            exit(2)
        }
    }

    private static func objects() -> Int {
        (0..<200).reduce(0) { sum, _ in sum + Node(depth: 6).count }
    }

    private static func collections() -> Int {
        var words: [String: [String]] = [:]
        for number in 0..<5_000 {
            let word = "order number \(number) of the day"
            words["key of at least sixteen bytes \(number % 37)", default: []].append(word)
        }
        let sorted = words.values.flatMap { $0.map { $0.uppercased() } }.sorted()
        return sorted.joined(separator: ",").utf8.count
    }

    private static func json() -> Int {
        (0..<300).reduce(0) { sum, number in
            let order = Order(
                id: number, customer: "a customer with a long name",
                lines: ["first article": 1.5, "second article": Double(number)])
            guard let data = try? JSONEncoder().encode(order),
                let back = try? JSONDecoder().decode(Order.self, from: data)
            else { return sum }
            return sum + back.lines.count
        }
    }

    private static func tasks() async -> Int {
        await withTaskGroup(of: Int.self) { group in
            for number in 0..<2_000 {
                group.addTask {
                    await Task.yield()
                    let parts = (0..<20).map { "part \($0) of a long string \(number)" }
                    return parts.joined().utf8.count
                }
            }
            return await group.reduce(0, +)
        }
    }

    private static func dispatch() -> Int {
        let queue = DispatchQueue(label: "work", attributes: .concurrent)
        let group = DispatchGroup()
        let serial = DispatchQueue(label: "sum")
        final class Sum: @unchecked Sendable {
            // Accessed only on the serial queue.
            var value = 0
        }
        let sum = Sum()
        for number in 0..<3_000 {
            let item = DispatchWorkItem {
                let text = "a string that does not fit into its words \(number)"
                serial.async(group: group) { sum.value += text.utf8.count }
            }
            if number % 10 == 0 {
                queue.async(
                    group: group, execute: DispatchWorkItem(flags: .barrier) { item.perform() })
            } else {
                queue.async(group: group, execute: item)
            }
            if number % 50 == 0 {
                group.enter()
                queue.asyncAfter(deadline: .now() + .milliseconds(1)) {
                    let timer = DispatchSource.makeTimerSource(queue: serial)
                    timer.setEventHandler {
                        timer.cancel()
                        group.leave()
                    }
                    timer.schedule(deadline: .now())
                    timer.resume()
                }
            }
        }
        DispatchQueue.concurrentPerform(iterations: 500) { number in
            let text = "another string that does not fit \(number)"
            serial.async(group: group) { sum.value += text.utf8.count }
        }
        let operations = OperationQueue()
        for number in 0..<500 {
            operations.addOperation {
                serial.sync { sum.value += "operation number \(number) of many".utf8.count }
            }
        }
        operations.waitUntilAllOperationsAreFinished()
        group.wait()
        return serial.sync { sum.value }
    }
}
