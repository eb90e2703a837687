#include "exchange/misp/misp.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/content.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "exchange/misp/inner.hpp"
#include "exchange/misp/outward.hpp"
#include "exchange/peers/desk.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr Setting kSettings[] = {
    {"misp.version",
     Unit::none,
     std::string_view("2.5.34"),
     {3, 20},
     "The version that we tell a MISP and PyMISP we are; a MISP talks to its own major and minor version best.",
     Restart::yes},
    {"misp.largest_event",
     Unit::bytes,
     std::int64_t{256} << 20,
     {1 << 20, std::int64_t{1} << 30},
     "The longest body of an event that is written to us; one of 200,000 attributes has some 100 MB.",
     Restart::yes},
    {"misp.at_root",
     Unit::none,
     true,
     {},
     "Whether MISP's paths (/events/..., /attributes/...) are at the root of the web address, too, and not only below "
     "/misp.",
     Restart::yes},
    {"misp.tell_sightings",
     Unit::none,
     false,
     {},
     "Tell partners' MISPs that members saw what is in an event, and when; never who. Only to partners who may have "
     "TLP:AMBER, and of what is seen from then on. Off: only our own people see it.",
     Restart::yes},
    {"misp.sightings_a_day",
     Unit::none,
     std::int64_t{100},
     {1, 10'000},
     "Sightings of nodes that are kept of one attribute and day; nodes tell at the first one and at each doubling.",
     Restart::yes},
};

constexpr std::size_t kSmall = std::size_t{1} << 20;  // a body that is no matter
constexpr std::size_t kLargeAMinute = 4;              // of the largest events
/// Often enough for a partner that asks once an hour.
constexpr auto kOwnEvery = std::chrono::minutes(5);

constexpr std::array kControllers = {"events",
                                     "attributes",
                                     "objects",
                                     "objectReferences",
                                     "object_references",
                                     "sightings",
                                     "tags",
                                     "feeds",
                                     "warninglists",
                                     "taxonomies",
                                     "servers",
                                     "users",
                                     "shadowAttributes",
                                     "shadow_attributes",
                                     "organisations",
                                     "sharing_groups",
                                     "sharingGroups",
                                     "galaxies",
                                     "roles",
                                     "noticelists",
                                     "objectTemplates",
                                     "eventReports",
                                     "analyst_data",
                                     "galaxy_clusters"};

/// "a/b" of two names at most: "limit:5" is a named one, "tlp:red" is not one of these.
bool is_named(std::string_view segment) {
  const auto colon = segment.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  return std::all_of(segment.begin(), segment.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' || c == '[' || c == ']';
  });
}

}  // namespace

std::span<const Setting> misp_settings() {
  return kSettings;
}

Result<net::JsonDocument> Call::body() const {
  if (trim(q.body).empty()) return net::JsonDocument::parse("{}");
  return net::JsonDocument::parse(q.body);
}

net::Reply fault(const Call& c, int status, std::string_view name, std::string_view message) {
  std::string out;
  JsonWriter w(out);
  w.object().member("saved", false).member("name", name).member("message", message).member("url", c.q.path);
  w.key("errors").value(message).end();
  return net::json(std::move(out), status);
}

net::Reply fault(const Call& c, const Error& e) {
  switch (e.code) {
    case Code::bad_input: return fault(c, 400, "Bad Request", e.what);
    case Code::not_found: return fault(c, 404, e.what, e.what);
    case Code::conflict: return fault(c, 409, e.what, e.what);
    case Code::forbidden: return fault(c, 403, e.what, e.what);
    case Code::unavailable: return fault(c, 503, "Service Unavailable", e.what);
    case Code::corrupt: return fault(c, 500, "Internal Error", e.what);
  }
  return fault(c, 500, "Internal Error", e.what);
}

net::Reply not_there(const Call& c, std::string_view what) {
  return fault(c, 404, what, what);
}

/// Not MISP's own "You do not have permission to do that.": PyMISP answers that with a proposal, and proposals are not taken here.
net::Reply not_yours(const Call& c) {
  return fault(c, 403, "Not permitted here",
               "This is changed by those who brought it, or by somebody whose key may write indicators; proposals are "
               "not taken here. "
               "Write an event of your own that extends it (extends_uuid).");
}

net::Reply done(const Call& c, std::string_view message, std::string_view id) {
  std::string out;
  JsonWriter w(out);
  w.object().member("saved", true).member("success", message).member("name", message).member("message", message);
  w.member("url", c.q.path);
  if (!id.empty()) w.member("id", id);
  w.end();
  return net::json(std::move(out));
}

Misp::Inner::Inner(Runtime& r, store::State& s, MispOptions o)
    : runtime(r), state(s), options(std::move(o)), book(r, s, options.name) {
  const Settings defaults = Settings::defaults(kSettings);
  const Settings& settings = options.settings != nullptr ? *options.settings : defaults;
  version = settings.text("misp.version");
  largest_body = static_cast<std::size_t>(settings.integer("misp.largest_event"));
  at_root = settings.flag("misp.at_root");
  tells_sightings = settings.flag("misp.tell_sightings");
  sightings_a_day = settings.integer("misp.sightings_a_day");
}

Misp::Misp(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Misp::~Misp() = default;

Result<std::unique_ptr<Misp>> Misp::open(Runtime& runtime, store::State& state, MispOptions options) {
  auto inner = std::make_unique<Inner>(runtime, state, std::move(options));
  const auto parts = split(inner->version, '.');
  const bool dotted = parts.size() == 3 && std::all_of(parts.begin(), parts.end(), [](std::string_view p) {
                        return !p.empty() && p.size() <= 6 && std::all_of(p.begin(), p.end(), ascii_digit);
                      });
  if (!dotted) return fail(Code::bad_input, "misp.version is three numbers with points: 2.5.34", inner->version);
  BAVN_CHECK(inner->book.open());
  inner->load_lists();
  inner->queue = runtime.queue({.name = "misp"});
  Inner* in = inner.get();
  state.on_job("misp.indicators", inner->queue, [in](const store::Job& job) -> Result<void> {
    return in->indicators_of(std::stoll(job.subject), job.payload);
  });
  state.on_timer("misp.own", inner->queue, [in](const store::Timer&) -> Result<void> {
    if (const auto made = in->own_events(); !made)
      log::warn("misp_own_events_failed", {{"reason", to_string(made.error())}});  // the next turn goes on there
    return in->state.write_now(
        [](store::Tx& tx) -> Result<void> { return tx.set_timer(tx.now() + kOwnEvery, "misp.own", "all"); });
  });
  state.subscribe("misp.sightings", inner->queue, [in](const store::DomainEvent& e) { return in->node_saw(e); },
                  {"report.sighting"});
  return std::unique_ptr<Misp>(new Misp(std::move(inner)));
}

Result<void> Misp::connect(MispLinks links) {
  inner_->links = std::move(links);
  if (inner_->links.library == nullptr || !inner_->links.library->read) return {};
  return inner_->state.write_now([](store::Tx& tx) -> Result<void> {
    return tx.set_timer(tx.now() + std::chrono::minutes(1), "misp.own", "all");
  });
}

ExportView Misp::view() const {
  return misp_view(inner_->book.own());
}

void Misp::add_routes(net::Router& router) {
  Inner* in = inner_.get();
  net::RouteOptions options;
  options.max_body = in->largest_body;
  options.deadline = std::chrono::minutes(10);  // writing 200,000 attributes takes a while on a small machine
  // Bodies are read before it is known who sends them: all large ones of a minute together may have so much.
  struct Window {
    Duration since{};
    std::size_t bytes = 0;
  };
  options.has_room = [in, window = std::make_shared<Guarded<Window>>()](std::size_t length) {
    if (length <= kSmall) return true;
    const Duration now = in->runtime.steady();
    return window->with([&](Window& w) {
      if (w.bytes == 0 || now - w.since > std::chrono::minutes(1)) w = {now, 0};
      if (w.bytes + length > kLargeAMinute * in->largest_body) return false;
      w.bytes += length;
      return true;
    });
  };
  const auto handler = [in](const net::Request& q) { return in->answer(q); };
  const auto add = [&](const std::string& pattern) {
    router.get(pattern, net::Needs::anyone, handler, options);
    router.post(pattern, net::Needs::anyone, handler, options);
    router.put(pattern, net::Needs::anyone, handler, options);
    router.del(pattern, net::Needs::anyone, handler, options);
  };
  add("/misp/{rest...}");
  if (in->at_root)
    for (const std::string_view c : kControllers) add(fmt::format("/{}/{{rest...}}", c));
}

net::Reply Misp::Inner::answer(const net::Request& q) {
  Call c{q, {}};
  std::vector<std::string_view> segments;
  for (const std::string_view s : split(q.path, '/'))
    if (!s.empty()) segments.push_back(s);
  if (!segments.empty() && segments.front() == "misp") segments.erase(segments.begin());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    std::string_view s = segments[i];
    if (i == 0) {
      c.controller = s;
      continue;
    }
    if (i + 1 == segments.size() && c.controller != "feed" && s.ends_with(".json")) s.remove_suffix(5);
    // The name of a tag has a colon, too.
    const bool names_tag =
        c.action == "addTag" || c.action == "removeTag" || (c.controller == "tags" && c.action == "search");
    if (i > 1 && !names_tag && is_named(s)) {
      const auto colon = s.find(':');
      c.named.emplace_back(s.substr(0, colon), s.substr(colon + 1));
    } else if (i == 1) {
      c.action = s;
    } else {
      c.words.emplace_back(s);
    }
  }
  for (const auto& [k, v] : q.query) c.named.emplace_back(k, v);
  if (c.action.empty()) c.action = "index";
  // Who it is: a partner's key, or one of our own people.
  Result<Partner> partner = fail(Code::not_found, "no key of a partner");
  if (links.desk != nullptr) partner = links.desk->keys().partner_of(q);
  if (partner) c.viewer = Viewer::of(*partner);
  else if (partner.error().code == Code::not_found) c.viewer = Viewer::of(q.scope, options.name);
  else
    return fault(c, partner.error().code == Code::unavailable ? 503 : 401, "Authentication failed",
                 partner.error().what);
  if (!partner && q.scope.who() == "nobody")
    return fault(c, 401, "Authentication failed",
                 "Authentication failed. Please make sure you pass the API key of an API enabled user along in the "
                 "Authorization "
                 "header.");
  if (!c.viewer.reads && !c.viewer.writes)
    return fault(c, 403, "Not permitted here", "this key may neither read nor write indicators");
  try {
    return dispatch(c);
  } catch (const std::exception& e) {  // of the libraries below: the request is answered, the process goes on
    log::error("misp_request_failed", {{"path", q.path}, {"reason", e.what()}});
    return fault(c, 500, "Internal Error", "the request could not be handled; the log says why");
  }
}

net::Reply Misp::Inner::dispatch(Call& c) {
  using Controller = std::optional<net::Reply> (Inner::*)(Call&);
  static const std::map<std::string_view, Controller> all = {
      {"events", &Inner::events},
      {"attributes", &Inner::attributes},
      {"objects", &Inner::objects},
      {"objectReferences", &Inner::references},
      {"object_references", &Inner::references},
      {"sightings", &Inner::sightings},
      {"tags", &Inner::tags},
      {"feeds", &Inner::feeds},
      {"servers", &Inner::servers},
      {"users", &Inner::servers},
      {"warninglists", &Inner::lists},
      {"taxonomies", &Inner::vocabularies},
      {"feed", &Inner::feed_out},
  };
  const auto it = all.find(c.controller);
  auto reply = it != all.end() ? (this->*it->second)(c) : others(c);
  if (reply) return std::move(*reply);
  return fault(c, 404, "Not Found", fmt::format("this server does not have {}/{}", c.controller, c.action));
}

}  // namespace bavn::exchange::misp
