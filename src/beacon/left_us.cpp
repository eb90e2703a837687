#include "beacon/left_us.hpp"

#include <fmt/format.h>

#include <atomic>
#include <boost/describe/class.hpp>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"
#include "net/url.hpp"

namespace bavn::beacon {

BOOST_DESCRIBE_STRUCT(LeftItem, (), (id, item, kind, municipality, tlp, text, to, at_us, acknowledged_us, refused))
BOOST_DESCRIBE_STRUCT(LeftRequest, (), (id, at_us, purpose, method, host, path, bytes, body_hash))

namespace {

constexpr std::string_view kItem =
    "SELECT id, item, kind, municipality, tlp, text, \"to\", at_us, acknowledged_us, refused FROM left_item ";
constexpr std::string_view kRequest =
    "SELECT id, at_us, purpose, method, host, path, bytes, body_hash FROM left_request ";

Result<void> may(const event::Scope& scope) {
  if (scope.may(event::Right::left_us_read)) return {};
  return fail(Code::forbidden, scope.who() + " may not read what left this node");
}

bool sees(const event::Scope& scope, const LeftItem& item) {
  return scope.sees({static_cast<std::uint16_t>(item.municipality)});
}

LeftRequest line_of(const net::ClientRequest& request, const std::string& purpose) {
  LeftRequest line;
  line.purpose = purpose;
  line.method = net::to_string(request.method);
  if (const auto url = net::parse_url(request.url)) {
    line.host = url->host_and_port();
    line.path = url->target.substr(0, url->target.find('?'));
  }
  std::size_t bytes = line.method.size() + request.url.size() + request.body.size();
  for (const auto& [name, value] : request.headers.all()) bytes += name.size() + value.size() + 4;
  line.bytes = static_cast<std::int64_t>(bytes);
  if (!request.body.empty()) line.body_hash = to_hex(blake2b256(request.body));
  return line;
}

/// Notes each request before it passes it on.
class Recording final : public net::Client {
 public:
  Recording(store::State& state, net::Client& inner, std::string purpose)
      : core_(std::make_shared<Core>(state, inner, std::move(purpose))) {}
  ~Recording() override { core_->gone = true; }

  void send(net::ClientRequest request, QueueId queue,
            std::move_only_function<void(Result<net::ClientReply>)> then) override {
    note(request, [core = core_, request, queue, then = std::move(then)](Result<void> noted) mutable {
      if (core->gone) return then(fail(Code::unavailable, "this node is stopping"));
      if (!noted) return then(std::unexpected(not_noted(noted.error())));
      core->inner.send(std::move(request), queue, std::move(then));
    });
  }

  std::shared_ptr<net::OpenStream> stream(net::ClientRequest request, QueueId queue,
                                          net::StreamEvents events) override {
    auto late = std::make_shared<Late>();
    note(request, [core = core_, late, request, queue, events = std::move(events)](Result<void> noted) mutable {
      if (core->gone || late->closed) return events.on_end({Code::unavailable, "the stream was closed here", {}});
      if (!noted) return events.on_end(not_noted(noted.error()));
      auto opened = core->inner.stream(std::move(request), queue, std::move(events));
      late->keep(std::move(opened));
    });
    return late;
  }

 private:
  struct Core {
    Core(store::State& s, net::Client& i, std::string p) : state(s), inner(i), purpose(std::move(p)) {}
    store::State& state;
    net::Client& inner;
    std::string purpose;
    std::atomic<bool> gone{false};
  };

  /// The handle of a stream that opens when its line is written.
  class Late final : public net::OpenStream {
   public:
    ~Late() override { close(); }
    void close() override {
      closed = true;
      const auto stream = opened_.with([](auto& s) { return std::exchange(s, nullptr); });
      if (stream) stream->close();
    }
    void keep(std::shared_ptr<net::OpenStream> stream) {
      opened_.with([&](auto& s) { s = stream; });
      if (closed) close();
    }
    std::atomic<bool> closed{false};

   private:
    Guarded<std::shared_ptr<net::OpenStream>> opened_;
  };

  static Error not_noted(const Error& e) {
    return {Code::unavailable, "not sent, because what leaves could not be noted: " + e.what, e.where};
  }

  void note(const net::ClientRequest& request, std::move_only_function<void(Result<void>)> then) {
    LeftUs(core_->state).note_request(line_of(request, core_->purpose), std::move(then));
  }

  std::shared_ptr<Core> core_;
};

}  // namespace

void LeftUs::note_request(LeftRequest line, std::move_only_function<void(Result<void>)> then) const {
  state_.write(
      [line = std::move(line)](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(
            tx.exec("INSERT INTO left_request (at_us, purpose, method, host, path, bytes, body_hash) "
                    "VALUES (:at, :p, :m, :h, :path, :b, :hash)",
                    {{"at", tx.now()},
                     {"p", line.purpose},
                     {"m", line.method},
                     {"h", line.host},
                     {"path", line.path},
                     {"b", line.bytes},
                     {"hash", line.body_hash}}));
        return {};
      },
      std::move(then));
}

std::unique_ptr<net::Client> LeftUs::recording(net::Client& inner, std::string purpose) {
  return std::make_unique<Recording>(state_, inner, std::move(purpose));
}

Result<std::vector<LeftItem>> LeftUs::items(const event::Scope& scope, std::int64_t before, unsigned limit) const {
  BAVN_CHECK(may(scope));
  return state_.read([&](store::Reader& r) -> Result<std::vector<LeftItem>> {
    std::vector<LeftItem> out;
    std::int64_t below = before > 0 ? before : INT64_MAX;
    while (out.size() < limit) {
      BAVN_TRY(auto rows, r.all<LeftItem>(std::string(kItem) + "WHERE id < :b ORDER BY id DESC LIMIT :n",
                                          {{"b", below}, {"n", limit}}));
      if (rows.empty()) break;
      below = rows.back().id;
      for (auto& row : rows)
        if (out.size() < limit && sees(scope, row)) out.push_back(std::move(row));
    }
    return out;
  });
}

Result<std::vector<LeftRequest>> LeftUs::requests(const event::Scope& scope, std::int64_t before,
                                                  unsigned limit) const {
  BAVN_CHECK(may(scope));
  return state_.read([&](store::Reader& r) {
    return r.all<LeftRequest>(std::string(kRequest) + "WHERE id < :b ORDER BY id DESC LIMIT :n",
                              {{"b", before > 0 ? before : INT64_MAX}, {"n", limit}});
  });
}

Result<void> LeftUs::export_ndjson(const event::Scope& scope, Instant from, Instant until,
                                   const std::function<Result<void>(std::string_view line)>& line) const {
  BAVN_CHECK(may(scope));
  std::int64_t after = 0;
  while (true) {
    BAVN_TRY(const auto rows, state_.read([&](store::Reader& r) {
      return r.all<LeftItem>(std::string(kItem) + "WHERE id > :a AND at_us >= :f AND at_us < :u ORDER BY id LIMIT 500",
                             {{"a", after}, {"f", from}, {"u", until}});
    }));
    if (rows.empty()) break;
    after = rows.back().id;
    for (const auto& row : rows) {
      if (!sees(scope, row)) continue;
      std::string out;
      JsonWriter w(out);
      w.object()
          .member("left", "item")
          .member("at", format_time(from_micros(row.at_us)))
          .member("to", row.to)
          .member("kind", row.kind);
      w.member("municipality", row.municipality).member("tlp", row.tlp);
      if (row.acknowledged_us) w.member("acknowledged_at", format_time(from_micros(*row.acknowledged_us)));
      if (row.refused) w.member("refused", *row.refused);
      w.key("item").raw(row.text).end();
      BAVN_CHECK(line(out + "\n"));
    }
  }
  after = 0;
  while (true) {
    BAVN_TRY(const auto rows, state_.read([&](store::Reader& r) {
      return r.all<LeftRequest>(
          std::string(kRequest) + "WHERE id > :a AND at_us >= :f AND at_us < :u ORDER BY id LIMIT 500",
          {{"a", after}, {"f", from}, {"u", until}});
    }));
    if (rows.empty()) return {};
    after = rows.back().id;
    for (const auto& row : rows) {
      std::string out;
      JsonWriter w(out);
      w.object()
          .member("left", "request")
          .member("at", format_time(from_micros(row.at_us)))
          .member("to", row.host)
          .member("purpose", row.purpose);
      w.member("method", row.method).member("path", row.path).member("bytes", row.bytes);
      if (!row.body_hash.empty()) w.member("body_blake2b", row.body_hash);
      w.end();
      BAVN_CHECK(line(out + "\n"));
    }
  }
}

Result<std::int64_t> LeftUs::forget(store::Tx& tx, Instant before) const {
  // What the hub does not have yet stays: its batch is sent from here.
  BAVN_TRY(const auto items,
           tx.exec("DELETE FROM left_item WHERE at_us < :b AND acknowledged_us IS NOT NULL", {{"b", before}}));
  BAVN_TRY(const auto requests, tx.exec("DELETE FROM left_request WHERE at_us < :b", {{"b", before}}));
  return items + requests;
}

}  // namespace bavn::beacon
