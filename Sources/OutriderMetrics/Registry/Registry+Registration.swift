// SPDX-License-Identifier: Apache-2.0
// Metric registration: for each kind, a method that never fails and one that throws.

extension Registry {
    // MARK: - Never fails

    /// A counter without labels.
    ///
    /// - Parameters:
    ///   - name: Must match `[a-zA-Z_:][a-zA-Z0-9_:]*`; `_total` is added if it is missing.
    ///   - help: A sentence that says what is counted.
    public func counter(_ name: String, help: String) -> Counter {
        single(coreOrDetached(.counter, name, help, []))
    }

    /// A counter for each set of values of `labels`.
    ///
    /// `limit` bounds the number of series; the first registration of the family sets it.
    public func counter(
        _ name: String, help: String, labels: [String], limit: SeriesLimit = .default
    ) -> Family<Counter> {
        Family(coreOrDetached(.counter, name, help, labels, limit: limit), labels: labels)
    }

    /// A counter whose value is read by a callback at each scrape; the value must never go down.
    ///
    /// `read` runs on a thread created for the scrape, should return quickly, and may register
    /// metrics. If it has not returned by the scrape's limit, the counter is left out, like a
    /// ``Collector``. A name can have one callback; a second one is refused.
    public func counter(
        _ name: String, help: String, read: @escaping @Sendable () -> Double
    ) {
        addOrRefuse(CallbackCollector(family: .counter(name, help: help), read: read), .callback)
    }

    /// A gauge without labels.
    public func gauge(_ name: String, help: String) -> Gauge {
        single(coreOrDetached(.gauge, name, help, []))
    }

    /// A gauge for each set of values of `labels`.
    ///
    /// `limit` bounds the number of series; the first registration of the family sets it.
    public func gauge(
        _ name: String, help: String, labels: [String], limit: SeriesLimit = .default
    ) -> Family<Gauge> {
        Family(coreOrDetached(.gauge, name, help, labels, limit: limit), labels: labels)
    }

    /// A gauge whose value is read by a callback at each scrape.
    ///
    /// `read` runs on a thread created for the scrape, should return quickly, and may register
    /// metrics. If it has not returned by the scrape's limit, the gauge is left out, like a
    /// ``Collector``. A name can have one callback; a second one is refused.
    public func gauge(_ name: String, help: String, read: @escaping @Sendable () -> Double) {
        addOrRefuse(CallbackCollector(family: .gauge(name, help: help), read: read), .callback)
    }

    /// A histogram without labels.
    ///
    /// - Parameters:
    ///   - name: Should end in the unit: `_seconds`, `_bytes`.
    ///   - help: A sentence that says what is observed.
    ///   - buckets: Upper bounds, in the same unit.
    public func histogram(
        _ name: String, help: String, buckets: Buckets = .default
    ) -> Histogram {
        single(coreOrDetached(.histogram, name, help, [], buckets))
    }

    /// A histogram for each set of values of `labels`.
    ///
    /// `limit` bounds the number of series; the first registration of the family sets it.
    public func histogram(
        _ name: String, help: String, labels: [String], buckets: Buckets = .default,
        limit: SeriesLimit = .default
    ) -> Family<Histogram> {
        Family(
            coreOrDetached(.histogram, name, help, labels, buckets, limit: limit), labels: labels)
    }

    /// Text about the service, as labels; `_info` is added to the name if it is missing.
    ///
    /// Registering it again with the same labels replaces the values.
    @discardableResult
    public func info(_ name: String, help: String, _ values: [String: String]) -> Info {
        Info(coreOrDetached(.info, name, help, values.keys.sorted()), values: values)
    }

    /// Registers `collector`, which each scrape calls from then on.
    public func add(_ collector: some Collector) {
        addOrRefuse(collector, .collector)
    }

    // MARK: - Throws

    /// A counter without labels; see ``counter(_:help:)``.
    public func register(counter name: String, help: String) throws(RegistrationError) -> Counter {
        single(try core(.counter, name, help, []))
    }

    /// A counter for each set of values of `labels`.
    public func register(
        counter name: String, help: String, labels: [String], limit: SeriesLimit = .default
    ) throws(RegistrationError) -> Family<Counter> {
        Family(try core(.counter, name, help, labels, limit: limit), labels: labels)
    }

    /// A counter whose value is read by a callback at each scrape; see ``counter(_:help:read:)``.
    public func register(
        counter name: String, help: String, read: @escaping @Sendable () -> Double
    ) throws(RegistrationError) {
        let family = CollectedFamily.counter(name, help: help)
        try add(CallbackCollector(family: family, read: read), .callback)
    }

    /// A gauge without labels.
    public func register(gauge name: String, help: String) throws(RegistrationError) -> Gauge {
        single(try core(.gauge, name, help, []))
    }

    /// A gauge for each set of values of `labels`.
    public func register(
        gauge name: String, help: String, labels: [String], limit: SeriesLimit = .default
    ) throws(RegistrationError) -> Family<Gauge> {
        Family(try core(.gauge, name, help, labels, limit: limit), labels: labels)
    }

    /// A gauge whose value is read by a callback at each scrape; see ``gauge(_:help:read:)``.
    public func register(
        gauge name: String, help: String, read: @escaping @Sendable () -> Double
    ) throws(RegistrationError) {
        let family = CollectedFamily.gauge(name, help: help)
        try add(CallbackCollector(family: family, read: read), .callback)
    }

    /// A histogram without labels; see ``histogram(_:help:buckets:)``.
    public func register(
        histogram name: String, help: String, buckets: Buckets = .default
    ) throws(RegistrationError) -> Histogram {
        single(try core(.histogram, name, help, [], buckets))
    }

    /// A histogram for each set of values of `labels`.
    public func register(
        histogram name: String, help: String, labels: [String], buckets: Buckets = .default,
        limit: SeriesLimit = .default
    ) throws(RegistrationError) -> Family<Histogram> {
        Family(try core(.histogram, name, help, labels, buckets, limit: limit), labels: labels)
    }

    /// Text about the service, as labels; see ``info(_:help:_:)``.
    @discardableResult
    public func register(
        info name: String, help: String, _ values: [String: String]
    ) throws(RegistrationError) -> Info {
        Info(try core(.info, name, help, values.keys.sorted()), values: values)
    }

    /// Registers `collector`, which each scrape calls from then on; all its families are accepted,
    /// or none.
    public func register(_ collector: some Collector) throws(RegistrationError) {
        try add(collector, .collector)
    }

    // MARK: - Helpers

    private func single<Instrument>(_ core: FamilyCore) -> Instrument
    where Instrument: AnyObject & Sendable {
        // A refused definition may have labels; each gets an empty value.
        let values = Array(repeating: "", count: core.definition.labels.count)
        return Family<Instrument>(core, labels: core.definition.labels).with(values)
    }

    func addOrRefuse(_ collector: any Collector, _ origin: CollectionPlan.Origin) {
        do {
            try add(collector, origin)
        } catch {
            diagnostics.refuse(error, "it will not be called")
        }
    }
}
