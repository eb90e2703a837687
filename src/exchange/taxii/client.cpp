#include "exchange/taxii/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "exchange/stix/names.hpp"
#include "net/json_value.hpp"

namespace bavn::exchange::taxii {

namespace {

constexpr std::string_view kMedia = "application/taxii+json;version=2.1";
constexpr std::size_t kPage = 1000;            // objects asked for at once
constexpr std::size_t kMostOfPage = 200'000;   // taken of a server that answers with everything
constexpr unsigned kPagesOfTurn = 20;          // then the cursor is kept and the turn is over
constexpr std::size_t kMostCollections = 200;  // the cursor has room for so many
constexpr std::size_t kMostRoots = 20;
constexpr std::size_t kPushed = 200;  // objects sent at once
constexpr unsigned kMostPolls = 30;   // of a status resource
constexpr std::chrono::seconds kBetweenPolls{2};
constexpr std::chrono::seconds kOverlap{1};

std::string with_slash(std::string url) {
  if (!url.ends_with('/')) url += '/';
  return url;
}

/// Where we are in one collection.
struct Position {
  Instant after{};     // date_added of the last object seen
  std::string next{};  // while in the middle
  Instant begun{};     // the added_after that `next` belongs to: servers bind the two together
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Taxii& taxii, std::shared_ptr<Pull> pull, PullDone done)
      : taxii_(taxii), pull_(std::move(pull)), done_(std::move(done)) {}

  void begin() {
    if (const auto read = read_cursor(); !read) return finish(std::unexpected(read.error()));
    caller_.who = "peer:" + pull_->peer.name;
    caller_.peer = pull_->peer.id;
    caller_.name = pull_->peer.name;
    caller_.may_read = true;
    caller_.ceiling = pull_->peer.ceiling;
    caller_.kinds = pull_->peer.kinds;
    caller_.sectors = pull_->peer.sectors;
    get(with_slash(pull_->peer.url), [](Session& s, net::JsonValue body, const net::ClientReply&) {
      if (const net::JsonValue roots = body["api_roots"]; roots.is_array()) {
        for (const net::JsonValue r : roots)
          if (r.text() && s.roots_.size() < kMostRoots) s.roots_.push_back(with_slash(std::string(*r.text())));
        if (s.roots_.empty()) return s.finish(fail(Code::bad_input, "the TAXII server names no API root"));
        return s.next_root();
      }
      if (body["can_read"] || body["can_write"]) {
        const std::string url = with_slash(s.pull_->peer.url);
        std::string root = url;  // ROOT/collections/ID/
        for (int up = 0; up < 2; ++up) root.erase(root.find_last_of('/', root.size() - 2) + 1);
        s.note(body, url, root);
        return s.next_page();
      }
      if (!body["versions"] && !body["max_content_length"])
        return s.finish(
            fail(Code::bad_input,
                 "what stands at the partner's URL is neither TAXII discovery, an API root nor a collection"));
      s.roots_.push_back(with_slash(s.pull_->peer.url));
      s.next_root();
    });
  }

 private:
  using Then = std::function<void(Session&, net::JsonValue, const net::ClientReply&)>;
  using Failed = std::function<void(Session&, Error, int status)>;

  Result<void> read_cursor() {
    const std::string& text = pull_->peer.cursor;
    if (!text.empty()) {
      BAVN_TRY(const auto document, net::JsonDocument::parse(text));
      for (const net::JsonValue m : document.root()["collections"])
        positions_[std::string(m.key())] = {parse_time(m["after"].text_or("")).value_or(Instant{}),
                                            std::string(m["next"].text_or("")),
                                            parse_time(m["begun"].text_or("")).value_or(Instant{})};
      pushed_ = parse_time(document.root()["pushed"].text_or("")).value_or(Instant{});
    }
    BAVN_TRY(const auto options, net::JsonDocument::parse(pull_->peer.options.empty() ? "{}" : pull_->peer.options));
    only_ = std::string(options.root()["collection"].text_or(""));
    write_ = std::string(options.root()["write"].text_or(""));
    return {};
  }

  std::string cursor() const {
    std::string out;
    JsonWriter w(out);
    w.object().key("collections").object();
    for (const auto& [url, p] : positions_) {
      w.key(url).object().member("after", stix::timestamp_us(p.after));
      if (!p.next.empty()) w.member("next", p.next).member("begun", stix::timestamp_us(p.begun));
      w.end();
    }
    w.end();
    if (pushed_ != Instant{}) w.member("pushed", stix::timestamp_us(pushed_));
    w.end();
    return out;
  }

  void send(net::Method method, const std::string& url, std::string body, Then then, Failed failed) {
    auto request = pull_->request(method, url);
    if (!request) return failed(*this, request.error(), 0);
    request->headers.set("Accept", std::string(kMedia));
    if (!body.empty()) {
      request->headers.set("Content-Type", std::string(kMedia));
      request->body = std::move(body);
    }
    pull_->client.send(
        std::move(*request), pull_->queue,
        [self = shared_from_this(), url, then = std::move(then),
         failed = std::move(failed)](Result<net::ClientReply> reply) {
          if (!reply) return failed(*self, reply.error(), 0);
          if (reply->status < 200 || reply->status > 299) return failed(*self, error_of(*reply, url), reply->status);
          const std::string* type = reply->headers.find("Content-Type");
          if (type == nullptr || !to_lower(*type).starts_with("application/taxii+json"))
            return failed(*self,
                          {Code::bad_input, "the partner's answer is not of TAXII 2.1 (application/taxii+json)", url},
                          reply->status);
          const auto document = net::JsonDocument::parse(reply->body);
          if (!document)
            return failed(*self, {Code::bad_input, "the partner's answer: " + document.error().what, url},
                          reply->status);
          then(*self, document->root(), *reply);
        });
  }
  void get(const std::string& url, Then then) {
    send(net::Method::get, url, {}, std::move(then), [](Session& s, Error e, int) { s.stop_with(std::move(e)); });
  }

  /// What was done in this turn is kept; the next turn meets the error first thing.
  void stop_with(Error e) {
    if (pages_ > 0 || sent_ > 0) {
      log::warn("taxii_turn_cut", {{"peer", pull_->peer.name}, {"reason", to_string(e)}});
      return finish_turn(true);
    }
    finish(std::unexpected(std::move(e)));
  }

  void next_root() {
    if (roots_.empty()) {
      if (collections_.empty() && targets_.empty())
        return finish(std::unexpected(
            (root_answered_ ? std::nullopt : root_error_)
                .value_or(
                    Error{Code::not_found, "the partner has no collection that is ours to read or write", only_})));
      return next_page();
    }
    const std::string root = roots_.front();
    roots_.pop_front();
    send(
        net::Method::get, root + "collections/", {},
        [root](Session& s, net::JsonValue body, const net::ClientReply&) {
          s.root_answered_ = true;
          for (const net::JsonValue c : body["collections"]) {
            const std::string_view id = c["id"].text_or("");
            if (!id.empty() && id.size() <= 200)
              s.note(c, root + "collections/" + net::percent_encoded(id) + '/', root);
          }
          s.next_root();
        },
        [root](Session& s, Error e, int) {
          // One root that is closed to us, or that leads elsewhere, does not keep us from the others.
          s.tell("api root", root, e.what);
          s.root_error_ = std::move(e);
          s.next_root();
        });
  }

  void note(net::JsonValue c, const std::string& url, const std::string& root) {
    const auto named = [&](const std::string& wanted) {
      return wanted == c["id"].text_or("") || wanted == c["alias"].text_or("") || wanted == c["title"].text_or("");
    };
    if (pull_->peer.direction != "out" && c["can_read"].boolean().value_or(false) && (only_.empty() || named(only_)) &&
        collections_.size() < kMostCollections)
      collections_.push_back(url);
    if (pull_->peer.direction != "in" && c["can_write"].boolean().value_or(false) && (write_.empty() || named(write_)))
      targets_.emplace_back(url, root);
  }

  void tell(std::string what, std::string object, std::string reason) {
    const Dropped one{std::move(what), std::move(object), std::move(reason)};
    if (pull_->library.dropped)
      if (const auto told = pull_->library.dropped(pull_->peer.id, {&one, 1}); !told)
        log::warn("taxii_dropped_not_listed", {{"peer", pull_->peer.name}, {"reason", to_string(told.error())}});
  }

  // ---- reading

  void next_page() {
    if (at_ >= collections_.size()) return push();
    if (pages_ >= kPagesOfTurn) return finish_turn(true);
    const std::string url = collections_[at_];
    Position& p = positions_[url];
    std::string query = fmt::format("objects/?limit={}", kPage);
    if (p.next.empty())
      p.begun = strict_ != Instant{} ? strict_ : p.after == Instant{} ? Instant{} : p.after - kOverlap;
    else query += "&next=" + net::percent_encoded(p.next);
    if (p.begun != Instant{}) query += "&added_after=" + net::percent_encoded(stix::timestamp_us(p.begun));
    send(
        net::Method::get, url + query, {},
        [url](Session& s, net::JsonValue body, const net::ClientReply& r) { s.took(url, body, r); },
        [url](Session& s, Error e, int status) {
          Position& where = s.positions_[url];
          if (status == 400 && !where.next.empty()) {  // it has forgotten its `next`: from the last date on
            where.next.clear();
            s.strict_ = {};
            return s.next_page();
          }
          if (status == 404 || status == 403) {  // gone or closed since it was listed
            s.tell("collection", url, e.what);
            return s.next_collection();
          }
          s.stop_with(std::move(e));
        });
  }

  void took(const std::string& url, net::JsonValue body, const net::ClientReply& reply) {
    ++pages_;
    Position& p = positions_[url];
    std::size_t refused = 0;
    if (body["objects"].size() > 0) {
      const auto posted =
          taxii_.add(caller_, Taxii::kept_of(pull_->peer.id, pull_->peer.name), reply.body, kMostOfPage);
      if (!posted) {
        if (posted.error().code == Code::unavailable) return stop_with(posted.error());
        tell("page", url, posted.error().what);
      } else {
        refused = posted->failed;
      }
    }
    if (refused > 0) log::info("taxii_objects_refused", {{"peer", pull_->peer.name}, {"count", refused}});
    const std::string* last = reply.headers.find("X-TAXII-Date-Added-Last");
    Instant seen = last != nullptr ? parse_time(*last).value_or(Instant{}) : Instant{};
    // A partner's clock that is ahead of ours would make us skip what it adds next.
    seen = std::min(seen, pull_->runtime.now());
    const bool moved = seen > p.after;
    newest_ = std::max(newest_, seen);
    const std::string next(body["next"].text_or(""));
    const bool more = body["more"].boolean().value_or(false);
    if (!more) {
      p.after = std::max(p.after, seen);
      p.next.clear();
      return next_collection();
    }
    if (!next.empty() && next.size() <= 2000 && !(next == p.next && !moved && body["objects"].size() == 0)) {
      p.after = std::max(p.after, seen);
      p.next = next;
      return next_page();
    }
    // No `next`: on from the last date. It is asked for again, as others may have the same; when a whole page has it, strictly after it.
    p.next.clear();
    if (moved) {
      p.after = seen;
      strict_ = seen - std::chrono::microseconds(1);
      return next_page();
    }
    if (strict_ < p.after && p.after != Instant{}) {
      tell("page", url, "more objects of one date_added than fit into a page, and no next: some may be missing");
      strict_ = p.after;
      return next_page();
    }
    tell("page", url, "the server says there is more, but gives neither next nor dates to go on from");
    next_collection();
  }

  void next_collection() {
    ++at_;
    strict_ = {};
    next_page();
  }

  // ---- writing

  void push() {
    if (targets_.empty() || pull_->peer.direction == "in") return finish_turn(false);
    if (targets_.size() > 1 && write_.empty()) {
      tell("collection", targets_.front().second,
           "there are several collections to write into: name one in the options (\"write\")");
      return finish_turn(false);
    }
    const auto known = taxii_.collection(caller_, "known");
    if (!known) return stop_with(known.error());
    Ask ask;
    ask.after = pushed_;
    ask.limit = kPushed;
    auto page = taxii_.page(caller_, *known, ask, true);
    if (!page) return stop_with(page.error());
    if (page->entries.empty() && !page->more) return finish_turn(false);
    const Instant reached = page->reached;
    const bool more = page->more;
    const std::size_t count = page->entries.size();
    std::string body;
    JsonWriter w(body);
    w.object().key("objects").array();
    for (const Entry& e : page->entries) w.raw(e.body);
    w.end().end();
    send(
        net::Method::post, targets_.front().first + "objects/", std::move(body),
        [reached, more, count](Session& s, net::JsonValue status, const net::ClientReply&) {
          s.sent(status, reached, more, count, 0);
        },
        [](Session& s, Error e, int) { s.stop_with(std::move(e)); });
  }

  void sent(net::JsonValue status, Instant reached, bool more, std::size_t count, unsigned polls) {
    const std::string id(status["id"].text_or(""));
    if (status["status"].text_or("complete") != "complete" && stix::is_uuid(id) && polls < kMostPolls) {
      pull_->runtime.after(kBetweenPolls, pull_->queue, [self = shared_from_this(), id, reached, more, count, polls] {
        self->send(
            net::Method::get, self->targets_.front().second + "status/" + id + '/', {},
            [reached, more, count, polls](Session& s, net::JsonValue again, const net::ClientReply&) {
              s.sent(again, reached, more, count, polls + 1);
            },
            [](Session& s, Error e, int) { s.stop_with(std::move(e)); });
      });
      return;
    }
    const auto failed = status["failure_count"].integer().value_or(0);
    if (failed > 0) log::warn("taxii_partner_refused_objects", {{"peer", pull_->peer.name}, {"count", failed}});
    sent_ += count;
    pushed_ = reached;
    if (!more) return finish_turn(false);
    if (++pages_ >= kPagesOfTurn) return finish_turn(true);
    push();
  }

  // ---- the end

  void finish_turn(bool more) { finish(Pulled{cursor(), newest_, sent_, more}); }
  void finish(Result<Pulled> result) {
    if (auto done = std::exchange(done_, {})) done(std::move(result));
  }

  Taxii& taxii_;
  std::shared_ptr<Pull> pull_;
  PullDone done_;
  Caller caller_{};
  std::map<std::string, Position, std::less<>> positions_{};  // by URL of the collection
  Instant pushed_{};
  std::string only_{}, write_{};
  std::deque<std::string> roots_{};
  std::optional<Error> root_error_{};
  bool root_answered_ = false;
  std::vector<std::string> collections_{};
  std::vector<std::pair<std::string, std::string>> targets_{};  // a collection, and its API root
  std::size_t at_ = 0;
  Instant strict_{};  // in the collection that is being read, without `next`
  unsigned pages_ = 0;
  std::uint64_t sent_ = 0;
  Instant newest_{};
};

}  // namespace

Puller taxii_puller(Taxii& taxii) {
  return [&taxii](std::shared_ptr<Pull> pull, PullDone done) {
    std::make_shared<Session>(taxii, std::move(pull), std::move(done))->begin();
  };
}

}  // namespace bavn::exchange::taxii
