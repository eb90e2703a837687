#pragma once
// For tests: a hub's tables under Sim with its TAXII routes, a Library that notes what it is given, and callers named by a header.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "exchange/taxii/server.hpp"
#include "exchange/taxii/taxii.hpp"
#include "net/json_value.hpp"
#include "store/state.hpp"

namespace bavn::exchange::taxii::testing {

constexpr const char* kMedia = "application/taxii+json;version=2.1";

struct Answer {
  int status = 0;
  net::Headers headers{};
  std::string body{};
  std::shared_ptr<net::JsonDocument> document{};
  net::JsonValue operator[](const char* name) const { return document ? document->root()[name] : net::JsonValue(); }
  std::vector<std::string> ids() const {
    std::vector<std::string> out;
    for (const net::JsonValue o : (*this)["objects"]) out.emplace_back(o["id"].text_or(""));
    return out;
  }
  std::string next() const { return std::string((*this)["next"].text_or("")); }
};

class Hub {
 public:
  explicit Hub(Sim& sim, Options options = {.name = "Test CERT"}) : sim_(sim) {
    state = *store::State::open(sim_, {.path = ":memory:", .schema = {"core", "hub"}});
    auto opened = Taxii::open(sim_, *state, std::move(options));
    EXPECT_TRUE(opened) << to_string(opened.error());
    taxii = std::move(*opened);
    auto library = std::make_shared<Library>();
    library->publish = [this](std::int64_t peer, std::vector<Delivered> all, std::string_view) -> Result<Taken> {
      for (auto& d : all) {
        EXPECT_EQ(d.indicator.source, "");
        published[{peer, d.indicator.value}] = d;
      }
      return Taken{};
    };
    library->withdraw = [this](std::int64_t peer,
                               std::vector<match::indicators::Removal> all) -> Result<std::uint64_t> {
      std::uint64_t n = 0;
      for (const auto& r : all) n += published.erase({peer, r.value});
      return n;
    };
    library->dropped = [this](std::int64_t, std::span<const Dropped> all) -> Result<void> {
      dropped.insert(dropped.end(), all.begin(), all.end());
      return {};
    };
    library->defaults_of = [](std::int64_t) -> Result<match::indicators::Indicator> {
      match::indicators::Indicator i;
      i.confidence = 33;
      return i;
    };
    taxii->use_library(library);
    library_ = library;
    add_taxii_routes(
        router, *taxii,
        [this](const net::Request& q) -> Result<Caller> {
          const std::string* name = q.headers.find("X-Caller");
          const auto found = name == nullptr ? callers.end() : callers.find(*name);
          if (found == callers.end()) return fail(Code::not_found, "nobody");
          return found->second;
        },
        [] { return std::string("https://hub.example"); });
    state->start();
    callers["anna"] = {.who = "person:1", .may_read = true, .ceiling = event::Tlp::red};
    partner("green", 1, event::Tlp::green);
    partner("amber", 2, event::Tlp::amber);
    partner("health", 3, event::Tlp::amber).sectors = {"health"};
  }
  ~Hub() { state->stop(); }
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  Caller& partner(const std::string& name, std::int64_t peer, event::Tlp ceiling) {
    return callers[name] = {.who = "partner:" + name,
                            .peer = peer,
                            .name = name,
                            .may_read = true,
                            .may_write = true,
                            .ceiling = ceiling};
  }
  const Library& library() const { return *library_; }

  void book(const std::string& kind, const std::string& value, const std::string& tlp = "green",
            const std::string& source = "list", const std::string& comment = "") {
    sql("INSERT INTO hub_indicator (kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, "
        "comment, added_us, added_by) "
        "VALUES (:k, :v, :s, 'block', 70, :t, 0, 0, :c, 1, 'x') ON CONFLICT (kind, value, source) DO UPDATE SET tlp = "
        "excluded.tlp, comment "
        "= excluded.comment",
        {{"k", kind}, {"v", value}, {"s", source}, {"t", tlp}, {"c", comment}});
  }
  void sql(std::string_view statement, store::Binds binds) {
    const auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(statement, binds));
      return {};
    });
    ASSERT_TRUE(done) << to_string(done.error());
  }

  Answer ask(const std::string& who, net::Method method, const std::string& target, std::string body = {},
             std::vector<std::pair<std::string, std::string>> headers = {{"Accept", kMedia},
                                                                         {"Content-Type", kMedia}}) {
    auto q = net::request_for(method, target);
    EXPECT_TRUE(q) << target;
    if (!who.empty()) q->headers.set("X-Caller", who);
    for (const auto& [name, value] : headers) q->headers.set(name, value);
    q->body = std::move(body);
    Answer a;
    router.handle(std::move(*q), [&](net::Reply r) {
      a.status = r.status;
      a.headers = r.headers;
      a.body = std::move(r.body);
    });
    if (auto d = net::JsonDocument::parse(a.body)) a.document = std::make_shared<net::JsonDocument>(std::move(*d));
    if (a.document) kept_.push_back(a.document);  // tests walk answers that they do not keep
    return a;
  }
  Answer get(const std::string& who, const std::string& target) { return ask(who, net::Method::get, target); }
  Answer post(const std::string& who, const std::string& envelope) {
    return ask(who, net::Method::post, "/taxii2/hub/collections/" + own(who) + "/objects/", envelope);
  }
  std::string own(const std::string& who) const { return "from-" + std::to_string(callers.at(who).peer); }
  static std::string objects(const std::string& collection) {
    return "/taxii2/hub/collections/" + collection + "/objects/";
  }

  std::unique_ptr<store::State> state;
  std::unique_ptr<Taxii> taxii;
  net::Router router;
  std::map<std::string, Caller, std::less<>> callers;
  std::map<std::pair<std::int64_t, std::string>, Delivered> published;
  std::vector<Dropped> dropped;

 private:
  Sim& sim_;
  std::shared_ptr<const Library> library_;
  std::vector<std::shared_ptr<net::JsonDocument>> kept_;
};

inline std::string uuid(int n) {
  char text[37];
  std::snprintf(text, sizeof text, "00000000-0000-4000-8000-%012d", n);
  return text;
}

/// more: further members, with a comma in front.
inline std::string indicator(int n, const std::string& pattern,
                             const std::string& modified = "2024-09-01T00:00:00.000Z", const std::string& more = "") {
  std::string quoted;
  for (const char c : pattern) quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return R"({"type":"indicator","spec_version":"2.1","id":"indicator--)" + uuid(n) +
         R"(","created":"2024-09-01T00:00:00.000Z","modified":")" + modified + R"(","pattern":")" + quoted +
         R"(","pattern_type":"stix","valid_from":"2024-09-01T00:00:00Z")" + more + "}";
}
inline std::string domain(int n) {
  return "[domain-name:value = 'evil" + std::to_string(n) + ".example']";
}
inline std::string envelope(const std::vector<std::string>& objects) {
  std::string out = R"({"objects":[)";
  for (std::size_t i = 0; i < objects.size(); ++i) out += (i == 0 ? "" : ",") + objects[i];
  return out + "]}";
}
constexpr const char* kGreenMark =
    R"(,"object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"])";
constexpr const char* kRedMark =
    R"(,"object_marking_refs":["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"])";

}  // namespace bavn::exchange::taxii::testing
