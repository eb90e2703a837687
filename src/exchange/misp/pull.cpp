// Reading a partner's MISP and MISP feeds: what is newer than ours is asked for event by event, and written as it came. What is not taken is
// listed with the partner. A pull that is cut goes on where it was: events that are here are not asked for again.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "exchange/misp/inner.hpp"
#include "exchange/misp/json_pieces.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr std::size_t kMostAPull = 500;          // events; then others have their turn
constexpr std::size_t kMostSighted = 500;        // events whose sightings alone changed; the others come next time
constexpr std::int64_t kMostTold = 200;          // sightings of ours that a turn tells
constexpr std::size_t kMostOffered = 2'000'000;  // a manifest of more is not one

struct Offered {
  std::string uuid;
  std::int64_t timestamp = 0;
};

/// A sighting of ours that its partner is to hear of.
struct Untold {
  std::int64_t id = 0;
  std::string attribute;
  std::int64_t at = 0;
};
BOOST_DESCRIBE_STRUCT(Untold, (), (id, attribute, at))

Viewer viewer_of(const Peer& peer) {
  Viewer v;
  v.who = fmt::format("partner:{}", peer.name);
  v.peer = peer.id;
  v.name = peer.name;
  v.reads = v.writes = v.publishes = true;
  v.ceiling = event::Tlp::red;  // what it brings it may have
  return v;
}

/// One pull, from the list to the last event; kept alive by its requests.
struct Round : std::enable_shared_from_this<Round> {
  Round(Misp::Inner& i, std::shared_ptr<Pull> p, PullDone d, bool f)
      : in(i), pull(std::move(p)), done(std::move(d)), feed(f), by(viewer_of(pull->peer)) {}
  Misp::Inner& in;
  std::shared_ptr<Pull> pull;
  PullDone done;
  bool feed;
  Viewer by;
  std::vector<Offered> wanted{};
  std::size_t at = 0;
  std::string etag{}, etag_before{};
  std::vector<Offered> sighted{};   // by when they were sighted last
  std::int64_t sighted_before = 0;  // up to here their sightings were asked for
  std::vector<Untold> untold{};
  std::size_t told = 0;
  Pulled result{};
  std::vector<std::string> changed{};
  bool listing = false, progressed = false;

  void end(Result<Pulled> r) {
    if (auto f = std::exchange(done, nullptr)) f(std::move(r));
  }
  void drop(std::string_view what, std::string_view id, std::string_view reason) {
    const std::vector<Dropped> one{{std::string(what), std::string(id), std::string(reason)}};
    (void)pull->library.dropped(pull->peer.id, one);
  }
  template <class F>
  void ask(net::Method method, const std::string& target, std::string body, F then) {
    auto request = pull->request(method, target);
    if (!request) return end(std::unexpected(request.error()));
    request->headers.set("Accept", "application/json");
    if (!body.empty()) {
      request->headers.set("Content-Type", "application/json");
      request->body = std::move(body);
    }
    if (listing && !etag_before.empty()) request->headers.set("If-None-Match", etag_before);
    pull->client.send(
        std::move(*request), pull->queue,
        [self = shared_from_this(), target, then = std::move(then)](Result<net::ClientReply> reply) mutable {
          if (!reply) return self->end(std::unexpected(reply.error()));
          then(std::move(*reply), target);
        });
  }

  void start() {
    if (const auto cursor = net::JsonDocument::parse(pull->peer.cursor.empty() ? "{}" : pull->peer.cursor)) {
      etag_before = std::string(cursor->root()["etag"].text_or({}).substr(0, 1000));
      sighted_before = cursor->root()["sighted"].integer().value_or(0);
    }
    result.cursor = pull->peer.cursor;
    if (!feed && pull->peer.direction == "out") return tell();
    const auto take = [self = shared_from_this()](net::ClientReply reply, const std::string& target) {
      if (reply.status == 304) return self->tell();
      if (reply.status / 100 != 2) return self->end(std::unexpected(error_of(reply, target)));
      if (const auto* tag = reply.headers.find("ETag"); tag != nullptr && tag->size() < 1000) self->etag = *tag;
      const auto read = self->feed ? self->manifest(reply.body) : self->index(reply.body);
      if (!read) return self->end(std::unexpected(read.error()));
      self->next();
    };
    listing = true;
    if (feed) ask(net::Method::get, "manifest.json", {}, take);
    else ask(net::Method::post, "events/index", "{\"minimal\":1,\"published\":1}", take);
    listing = false;
  }

  Result<void> offer(std::string_view uuid, net::JsonValue v) {
    if (!is_uuid(uuid)) {
      drop("event", uuid.substr(0, 100), "its uuid is none");
      return {};
    }
    Offered o{uuid_in(uuid), number(v["timestamp"]).value_or(0)};
    const std::int64_t sighted_at = believed(number(v["sighting_timestamp"]).value_or(0), in.runtime.now());
    if (!feed && sighted_at > sighted_before && sighted.size() < kMostOffered) sighted.push_back({o.uuid, sighted_at});
    BAVN_TRY(const auto here, in.state.read([&](store::Reader& r) {
      return r.all<std::int64_t>(
          "SELECT timestamp FROM misp_event WHERE uuid = :u UNION ALL SELECT 9000000000000000 WHERE EXISTS (SELECT 1 "
          "FROM "
          "misp_gone WHERE uuid = :u)",
          {{"u", o.uuid}});
    }));
    // A timestamp of the future was cut when the event came: it is not newer for ever.
    for (const std::int64_t ours : here)
      if (ours >= believed(o.timestamp, in.runtime.now())) return {};
    if (wanted.size() >= kMostOffered) return fail(Code::bad_input, "the partner offers more than 2,000,000 events");
    wanted.push_back(std::move(o));
    return {};
  }
  Result<void> manifest(std::string_view body) {
    const auto document = net::JsonDocument::parse(body);
    if (!document || !document->root().is_object())
      return fail(Code::bad_input, "manifest.json is no JSON object of events", pull->peer.url);
    for (const net::JsonValue m : document->root()) BAVN_CHECK(offer(m.key(), m));
    sort();
    return {};
  }
  Result<void> index(std::string_view body) {
    const auto document = net::JsonDocument::parse(body);
    if (!document || !document->root().is_array())
      return fail(Code::bad_input, "events/index is no list of events", pull->peer.url);
    for (const net::JsonValue v : document->root()) BAVN_CHECK(offer(v["uuid"].text_or({}), v));
    sort();
    return {};
  }
  void sort() {  // oldest first: what is cut goes on there
    std::stable_sort(wanted.begin(), wanted.end(),
                     [](const Offered& a, const Offered& b) { return a.timestamp < b.timestamp; });
    std::stable_sort(sighted.begin(), sighted.end(),
                     [](const Offered& a, const Offered& b) { return a.timestamp < b.timestamp; });
  }

  void next() {
    if (at >= wanted.size() || at >= kMostAPull) return feed ? finish() : sightings();
    const std::string uuid = wanted[at].uuid;
    ++at;
    const std::string target =
        feed ? uuid + ".json"
             : fmt::format(
                   "events/view/{}/deleted%5B%5D:0/deleted%5B%5D:1/excludeGalaxy:1/includeEventCorrelations:0/"
                   "includeFeedCorrelations:0/includeWarninglistHits:0/excludeLocalTags:1",
                   uuid);
    ask(net::Method::get, target, {},
        [self = shared_from_this(), uuid](net::ClientReply reply, const std::string& asked) {
          if (reply.status == 404 || reply.status == 403) {
            self->drop("event", uuid, "the partner offers it and does not give it");
            return self->next();
          }
          if (reply.status / 100 != 2) return self->end(std::unexpected(error_of(reply, asked)));
          const auto put = self->in.book.put(self->by, reply.body, {.how = Putting::sync, .from_feed = self->feed});
          if (!put) {
            if (put.error().code == Code::unavailable) return self->end(std::unexpected(put.error()));
            self->drop("event", uuid, put.error().what);
            return self->next();
          }
          if (put->uuid != uuid) self->drop("event", uuid, "another event came than was asked for");
          for (const Dropped& d : put->list) self->drop(d.what, d.object, d.reason);
          if (put->changed) self->changed.push_back(put->uuid);
          const Instant newest = from_micros(self->wanted[self->at - 1].timestamp * 1'000'000);
          self->result.newest = std::max(self->result.newest, newest);
          self->next();
        });
  }

  /// Of the events that came, and of those of which only somebody saw something: as a MISP asks for them.
  void sightings() {
    std::size_t most = 0;
    for (const Offered& o : sighted) {
      // All of one second together, or some of them would never be asked for.
      if (most >= kMostSighted && o.timestamp != sighted[most - 1].timestamp) break;
      changed.push_back(o.uuid);
      ++most;
    }
    if (changed.empty()) return finish();
    std::string body;
    JsonWriter w(body);
    w.object().member("returnFormat", "json").member("last", 0).member("includeUuid", true).key("uuid").array();
    for (const auto& u : changed) w.value(u);
    w.end().end();
    ask(net::Method::post, "sightings/restSearch/event", std::move(body),
        [self = shared_from_this()](net::ClientReply reply, const std::string&) {
          if (reply.status / 100 != 2) {  // a MISP without sightings, or a key that may not read them
            self->sighted.clear();
            return self->finish();
          }
          const auto document = net::JsonDocument::parse(reply.body);
          if (!document) return self->finish();
          const net::JsonValue list =
              document->root()["response"].is_array() ? document->root()["response"] : document->root();
          for (const net::JsonValue v : list) {
            auto s = read_sighting(v);
            const net::JsonValue fields = v["Sighting"].is_object() ? v["Sighting"] : v;
            if (!s || s->uuid.empty()) continue;
            if (s->source == self->in.options.name) continue;  // what we told it ourselves
            const auto a = self->in.book.attribute(self->by, fields["attribute_uuid"].text_or({}));
            if (!a || !*a) continue;
            (void)self->in.book.add_sightings(self->by, {**a}, std::move(*s));
          }
          for (const Offered& o : self->sighted) {
            if (std::find(self->changed.begin(), self->changed.end(), o.uuid) == self->changed.end()) break;
            self->progressed |= o.timestamp > self->sighted_before;
            self->sighted_before = std::max(self->sighted_before, o.timestamp);
          }
          self->finish();
        });
  }

  void finish() {
    const bool all_sighted = sighted.empty() || sighted.back().timestamp <= sighted_before;
    result.more = at < wanted.size() || (!all_sighted && progressed);
    std::string cursor;
    JsonWriter w(cursor);
    w.object();
    // While there is more, the list must come again: no tag.
    if (!result.more && all_sighted && !etag.empty()) w.member("etag", etag);
    if (sighted_before > 0) w.member("sighted", sighted_before);
    w.end();
    result.cursor = std::move(cursor);
    tell();
  }

  /// What members saw of this partner's own events, when that is to be told: that, and when.
  void tell() {
    const Peer& to = pull->peer;
    if (feed || to.direction == "in" || !in.tells_sightings) return end(std::move(result));
    auto rows = in.state.read([&](store::Reader& r) {
      return r.all<Untold>(
          "SELECT s.id AS id, a.uuid AS attribute, s.at AS at FROM misp_sighting s INDEXED BY misp_sighting_telling "
          "JOIN "
          "misp_event e ON e.id = s.event JOIN misp_attribute a ON a.id = s.attribute WHERE s.telling = 1 AND e.peer = "
          ":p AND s.tlp <= :c AND a.deleted = 0 ORDER BY s.id LIMIT :n",
          {{"p", to.id}, {"c", to.ceiling}, {"n", kMostTold}});
    });
    if (!rows) return end(std::unexpected(rows.error()));
    untold = std::move(*rows);
    tell_next();
  }
  void tell_next() {
    if (told >= untold.size()) {
      result.more |= untold.size() == static_cast<std::size_t>(kMostTold);
      return end(std::move(result));
    }
    const Untold& s = untold[told];
    std::string body;
    JsonWriter(body)
        .object()
        .member("uuid", s.attribute)
        .member("type", "0")
        .member("source", in.options.name)
        .member("timestamp", s.at)
        .end();
    ask(net::Method::post, "sightings/add", std::move(body),
        [self = shared_from_this()](net::ClientReply reply, const std::string& asked) {
          // What it does not know any more it will not know later; with another trouble we come again.
          const bool good = reply.status / 100 == 2;
          if (!good && reply.status != 400 && reply.status != 403 && reply.status != 404) {
            log::warn("misp_sightings_not_told",
                      {{"peer", self->pull->peer.name}, {"reason", to_string(error_of(reply, asked))}});
            return self->end(std::move(self->result));
          }
          const auto noted = self->in.state.write_now([&](store::Tx& tx) -> Result<void> {
            BAVN_CHECK(tx.exec("UPDATE misp_sighting SET telling = :t WHERE id = :i",
                               {{"t", good ? 2 : 3}, {"i", self->untold[self->told].id}}));
            return {};
          });
          if (!noted) return self->end(std::unexpected(noted.error()));
          if (good) ++self->result.sent;
          ++self->told;
          self->tell_next();
        });
  }
};

}  // namespace

Pullers Misp::pullers() {
  Inner* in = inner_.get();
  Pullers out;
  for (const bool feed : {false, true})
    out[feed ? "misp_feed" : "misp"] = [in, feed](std::shared_ptr<Pull> pull, PullDone done) {
      std::make_shared<Round>(*in, std::move(pull), std::move(done), feed)->start();
    };
  return out;
}

}  // namespace bavn::exchange::misp
