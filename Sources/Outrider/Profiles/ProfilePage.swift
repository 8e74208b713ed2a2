// SPDX-License-Identifier: Apache-2.0
// `/debug/pprof/heap` and similar pages: they connect profiles to the endpoint.
//
// Paths, parameters, types and header fields are those of Go's net/http/pprof, because `go tool
// pprof`, Parca and Grafana Alloy were written for it.

internal import OutriderEndpoint
internal import OutriderProfile
internal import OutriderThreading

/// The page of one kind of profile.
final class ProfilePage: Page {
    /// The path below which all profiles are served.
    static let root = "/debug/pprof/"
    /// Requests that share a session count too.
    let concurrencyLimit = 16

    let kind: ProfileKind
    private let source: any ProfileSource
    private let time: any TimeSource
    private let sessions: ProfileSessions
    private let currentProfiles = SharedRuns<ProfileFormat, Response>()
    /// Time limit for an instantaneous profile.
    private static let timeLimit = Duration.seconds(60)

    init(_ kind: ProfileKind, of source: any ProfileSource, time: any TimeSource) {
        self.kind = kind
        self.source = source
        self.time = time
        sessions = ProfileSessions(time: time)
    }

    var path: String { Self.root + kind.name }
    var summary: String { kind.summary }

    func respond(to request: Request) -> Response {
        let query: ProfileQuery
        do throws(ProfileQuery.Problem) {
            query = try ProfileQuery(request)
        } catch {
            return Self.refusal("\(error)\n", status: 400)
        }
        guard let seconds = query.seconds else {
            return currentProfiles.share(query.format, within: Self.timeLimit) { _ in
                Self.onOwnThread { self.currentProfile(query.format) }
            }
        }
        return deltaProfile(seconds, query.format, request)
    }

    private func snapshot() throws(ProfileUnavailable) -> Profile {
        try source.snapshot(of: kind)
    }

    /// A source of the service may need more stack than a connection's thread has.
    private func snapshotOnOwnThread() throws(ProfileUnavailable) -> Profile {
        let outcome = DetachedThread.withDeepStack { [self] in
            OwnWork.run { Result { () throws(ProfileUnavailable) in try snapshot() } }
        }
        guard let outcome else { throw ProfileUnavailable("cannot start a thread") }
        return try outcome.get()
    }

    private func currentProfile(_ format: ProfileFormat) -> Response {
        do throws(ProfileUnavailable) {
            let bytes = try snapshot().rendered(as: format, title: kind.name)
            return response(bytes, format, isDelta: false)
        } catch {
            return Self.unavailable(error.description, retryAfter: 60)
        }
    }

    private func deltaProfile(_ seconds: Int, _ format: ProfileFormat, _ request: Request)
        -> Response
    {
        let joined: ProfileSession?
        do throws(ProfileUnavailable) {
            joined = try sessions.join(seconds: seconds) { () throws(ProfileUnavailable) in
                try snapshotOnOwnThread()
            }
        } catch {
            return Self.unavailable(error.description, retryAfter: 60)
        }
        guard let session = joined else {
            let limit = ProfileSessions.limit
            return Self.unavailable(
                "\(limit) delta profiles of this kind are in progress; try again later",
                retryAfter: seconds)
        }
        defer { sessions.leave(session) }
        switch request.pause(for: max(.zero, session.end - time.now)) {
        case .elapsed: break
        case .clientDisconnected: return Self.unavailable("the client disconnected", retryAfter: 1)
        case .stopping: return Self.unavailable("the agent is stopping", retryAfter: 1)
        }
        return Self.onOwnThread { self.finished(session, seconds, format) }
    }

    private func finished(
        _ session: ProfileSession, _ seconds: Int, _ format: ProfileFormat
    ) -> Response {
        let outcome = session.finish { () throws(ProfileUnavailable) in try self.snapshot() }
        switch outcome {
        case .success(let profile):
            let title = "\(kind.name), \(seconds) s"
            let bytes = session.bytes(format) { profile.rendered(as: format, title: title) }
            return response(bytes, format, isDelta: true)
        case .failure(let error):
            return Self.unavailable(error.description, retryAfter: 60)
        }
    }

    /// Runs on a separate thread, because a connection's thread has too little stack for recursion.
    private static func onOwnThread(_ work: @escaping @Sendable () -> Response) -> Response {
        let done = Latch()
        let result = Guarded<Response?>(nil)
        let isStarted = DetachedThread.startWithDeepStack {
            let response = OwnWork.run(work)
            result.withLock { $0 = response }
            done.open()
        }
        guard isStarted else { return unavailable("cannot start a thread", retryAfter: 1) }
        if done.wait(for: timeLimit), let response = result.withLock({ $0 }) { return response }
        return unavailable("the profile took too long", retryAfter: 60)
    }

    // MARK: - Responses

    private func response(_ bytes: [UInt8], _ format: ProfileFormat, isDelta: Bool) -> Response {
        var fields = [(name: "Cache-Control", value: "no-store")]
        switch format {
        case .pprof:
            let file = isDelta ? "\(kind.name)-delta" : kind.name
            // The body is compressed already, as pprof clients expect: no Content-Encoding.
            fields.append(("Content-Type", "application/octet-stream"))
            fields.append(("Content-Disposition", "attachment; filename=\"\(file)\""))
        case .text, .collapsed: fields.append(("Content-Type", "text/plain; charset=utf-8"))
        case .flamegraph:
            fields.append(("Content-Type", "text/html; charset=utf-8"))
            fields.append(("Content-Security-Policy", ProfileFormat.pagePolicy))
        }
        return Response(status: 200, headers: fields, body: bytes)
    }

    /// An error response in the form that Go's tools recognise.
    private static func refusal(_ reason: String, status: Int) -> Response {
        var response = Response.uncached(reason, status: status)
        response.headers.append(("X-Go-Pprof", "1"))
        return response
    }

    private static func unavailable(_ reason: String, retryAfter seconds: Int) -> Response {
        var response = refusal(reason + "\n", status: 503)
        response.headers.append(("Retry-After", String(seconds)))
        return response
    }
}
