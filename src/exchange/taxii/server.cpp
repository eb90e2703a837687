#include "exchange/taxii/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/stix/names.hpp"
#include "net/json_value.hpp"

namespace bavn::exchange::taxii {

namespace {

constexpr std::string_view kMedia = "application/taxii+json;version=2.1";
constexpr std::string_view kRoot = "hub";
constexpr std::size_t kMostMatches = 1000;  // values of one filter

struct Refusal {
  int status;
  std::string title, description;
};
template <class T>
using Or = std::expected<T, Refusal>;

std::unexpected<Refusal> refuse(int status, std::string title, std::string description) {
  return std::unexpected(Refusal{status, std::move(title), std::move(description)});
}

net::Reply answer(std::string body, int status = 200) {
  return net::text(std::move(body), kMedia, status);
}

net::Reply error(const Refusal& r) {
  std::string body;
  JsonWriter(body)
      .object()
      .member("title", r.title)
      .member("description", r.description)
      .member("http_status", std::to_string(r.status))
      .end();
  net::Reply reply = answer(std::move(body), r.status);
  if (r.status == 401) reply.headers.set("WWW-Authenticate", "Basic realm=\"TAXII\", Bearer");
  return reply;
}

Refusal refusal_of(const Error& e) {
  switch (e.code) {
    case Code::not_found: return {404, "Not found", e.what};
    case Code::forbidden: return {403, "Forbidden", e.what};
    case Code::bad_input: return {422, "Not processable", e.what};
    case Code::conflict: return {409, "Conflict", e.what};
    case Code::unavailable: return {503, "Unavailable", "the hub cannot do this now; come back later"};
    case Code::corrupt: break;
  }
  return {500, "Internal error", "the request could not be handled; the log of the hub says why"};
}

/// Does a list of media ranges name ours? A version that is not given is any.
bool names_taxii(std::string_view header) {
  for (const std::string_view range : split(header, ',')) {
    const auto parts = split(range, ';');
    if (!iequals(trim(parts.front()), "application/taxii+json")) continue;
    bool fits = true;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      std::string parameter;
      for (const char c : parts[i])
        if (c != ' ' && c != '\t' && c != '"') parameter += ascii_lower(c);
      if (parameter.starts_with("version=")) fits = fits && parameter == "version=2.1";
      if (parameter == "q=0" || parameter == "q=0.0") fits = false;
    }
    if (fits) return true;
  }
  return false;
}

/// What pages are of: everything but where one is in them.
std::string filters_of(const net::Request& q) {
  std::string out;
  for (const auto& [name, value] : q.query) {
    if (name == "next" || name == "limit") continue;
    std::vector<std::string_view> values = split(value, ',');
    std::ranges::sort(values);
    out += name + '=';
    for (const std::string_view v : values) out += std::string(v) + ',';
    out += '\n';
  }
  return out;
}

std::string position(const Taxii& t, Instant after, std::string_view bound_to) {
  const std::string at = std::to_string(micros(after));
  return to_base64url(at + '.' + hmac_sha256(t.secret(), at + '\n' + std::string(bound_to)).substr(0, 16));
}

Or<Instant> read_position(const Taxii& t, std::string_view next, std::string_view bound_to) {
  const auto bytes = next.size() <= 100 ? from_base64url(next) : fail(Code::bad_input, "too long");
  const auto dot = bytes ? bytes->find('.') : std::string::npos;
  std::int64_t us = 0;
  if (dot != std::string::npos) {
    const auto [end, bad] = std::from_chars(bytes->data(), bytes->data() + dot, us);
    if (bad == std::errc() && end == bytes->data() + dot && same_secret(position(t, from_micros(us), bound_to), next))
      return from_micros(us);
  }
  return refuse(400, "Bad next", "this `next` is not of this collection and these filters; begin again without it");
}

std::vector<std::string> values_of(std::string_view list) {
  std::vector<std::string> out;
  for (const std::string_view v : split(list, ','))
    if (!trim(v).empty()) out.emplace_back(trim(v));
  return out;
}

class Routes {
 public:
  Routes(Taxii& taxii, Who who, std::function<std::string()> url)
      : taxii_(taxii), who_(std::move(who)), url_(std::move(url)) {}

  net::Reply discovery(const net::Request& q) {
    return guarded(q, [&](const Caller&) -> Or<net::Reply> {
      const std::string root = base(q) + "/taxii2/" + std::string(kRoot) + '/';
      std::string body;
      JsonWriter w(body);
      w.object()
          .member("title", taxii_.options().name)
          .member("description", "What this hub knows, and what partners tell it");
      w.member("default", root).key("api_roots").array().value(root).end().end();
      return answer(std::move(body));
    });
  }

  net::Reply root(const net::Request& q) {
    return in_root(q, [&](const Caller&) -> Or<net::Reply> {
      std::string body;
      JsonWriter w(body);
      w.object().member("title", taxii_.options().name).key("versions").array().value(kMedia).end();
      w.member("max_content_length", static_cast<std::uint64_t>(taxii_.options().most_content)).end();
      return answer(std::move(body));
    });
  }

  net::Reply status(const net::Request& q) {
    return in_root(q, [&](const Caller& caller) -> Or<net::Reply> {
      auto body = taxii_.status(caller, q.param("status"));
      if (!body) return std::unexpected(refusal_of(body.error()));
      return answer(std::move(*body));
    });
  }

  net::Reply collections(const net::Request& q) {
    return in_root(q, [&](const Caller& caller) -> Or<net::Reply> {
      const auto all = taxii_.collections(caller);
      if (!all) return std::unexpected(refusal_of(all.error()));
      std::string body;
      JsonWriter w(body);
      w.object();
      if (!all->empty()) {
        w.key("collections").array();
        for (const Collection& c : *all) write(w, c);
        w.end();
      }
      w.end();
      return answer(std::move(body));
    });
  }

  net::Reply collection(const net::Request& q) {
    return in_collection(q, [&](const Caller&, const Collection& c) -> Or<net::Reply> {
      std::string body;
      JsonWriter w(body);
      write(w, c);
      return answer(std::move(body));
    });
  }

  enum class Form : std::uint8_t { objects, manifest, versions };

  net::Reply read(const net::Request& q, Form form, bool one) {
    return in_collection(q, [&](const Caller& caller, const Collection& c) -> Or<net::Reply> {
      if (!c.can_read) return refuse(403, "Forbidden", "this collection is not yours to read");
      auto ask = asked(q, form == Form::versions);
      if (!ask) return std::unexpected(ask.error());
      if (one) {
        const std::string id(q.param("object"));
        const auto there = taxii_.has(caller, c, id);
        if (!there) return std::unexpected(refusal_of(there.error()));
        if (!*there) return refuse(404, "Not found", "there is no such object in this collection");
        ask->ids = {id};
        ask->types.clear();
      }
      const std::string bound_to = fmt::format("{}\n{}\n{}\n{}", caller.who, q.path, c.id, filters_of(q));
      if (const auto next = q.asked("next")) {
        const auto at = read_position(taxii_, *next, bound_to);
        if (!at) return std::unexpected(at.error());
        ask->after = std::max(ask->after, *at);
      }
      const auto page = taxii_.page(caller, c, *ask, form == Form::objects);
      if (!page) return std::unexpected(refusal_of(page.error()));
      net::Reply reply = answer(envelope(*page, form, page->more ? position(taxii_, page->reached, bound_to) : ""));
      if (!page->entries.empty()) {
        reply.headers.set("X-TAXII-Date-Added-First", stix::timestamp_us(page->entries.front().added));
        reply.headers.set("X-TAXII-Date-Added-Last", stix::timestamp_us(page->entries.back().added));
      }
      return reply;
    });
  }

  net::Reply add(const net::Request& q) {
    return in_collection(q, [&](const Caller& caller, const Collection& c) -> Or<net::Reply> {
      if (!c.can_write) return refuse(403, "Forbidden", "this collection is not yours to write");
      const std::string* type = q.headers.find("Content-Type");
      if (type == nullptr || !names_taxii(*type))
        return refuse(415, "Unsupported media type", fmt::format("what is added is {}", kMedia));
      if (q.body.size() > taxii_.options().most_content)
        return refuse(413, "Too large", fmt::format("at most {} bytes at once", taxii_.options().most_content));
      const auto posted = taxii_.add(caller, c, q.body);
      if (!posted) return std::unexpected(refusal_of(posted.error()));
      return answer(posted->status, 202);
    });
  }

  net::Reply remove(const net::Request& q) {
    return in_collection(q, [&](const Caller& caller, const Collection& c) -> Or<net::Reply> {
      if (!c.can_write) return refuse(403, "Forbidden", "this collection is not yours to write");
      const auto ask = asked(q, false);
      if (!ask) return std::unexpected(ask.error());
      const auto done = taxii_.remove(caller, c, q.param("object"), *ask);
      if (!done) return std::unexpected(refusal_of(done.error()));
      return answer("");
    });
  }

 private:
  template <class F>
  net::Reply guarded(const net::Request& q, F&& f) {
    const auto caller = who_(q);
    if (!caller)
      return error({401, "Unauthorized", "sign in with a key: HTTP Basic with the key as the password, or Bearer"});
    const std::string* accept = q.headers.find("Accept");
    if (accept == nullptr || !names_taxii(*accept))
      return error({406, "Not acceptable", fmt::format("ask with Accept: {}", kMedia)});
    Or<net::Reply> reply = f(*caller);
    return reply ? std::move(*reply) : error(reply.error());
  }
  template <class F>
  net::Reply in_root(const net::Request& q, F&& f) {
    return guarded(q, [&](const Caller& caller) -> Or<net::Reply> {
      if (q.param("root") != kRoot) return refuse(404, "Not found", "there is no such API root");
      return f(caller);
    });
  }
  template <class F>
  net::Reply in_collection(const net::Request& q, F&& f) {
    return in_root(q, [&](const Caller& caller) -> Or<net::Reply> {
      const auto c = taxii_.collection(caller, q.param("collection"));
      if (!c) return std::unexpected(refusal_of(c.error()));
      return f(caller, *c);
    });
  }

  std::string base(const net::Request& q) const {
    if (std::string url = url_ ? url_() : std::string(); !url.empty()) return url;
    const std::string* host = q.headers.find("Host");
    // Whoever lies about this sends only itself elsewhere.
    const std::string* scheme = q.headers.find("X-Forwarded-Proto");
    const bool tls = q.peer.tls || (scheme != nullptr && iequals(trim(*scheme), "https"));
    return fmt::format("{}://{}", tls ? "https" : "http", host == nullptr ? "localhost" : *host);
  }

  static void write(JsonWriter& w, const Collection& c) {
    w.object()
        .member("id", c.id)
        .member("title", c.title)
        .member("description", c.description)
        .member("alias", c.alias);
    w.member("can_read", c.can_read).member("can_write", c.can_write);
    w.key("media_types").array().value("application/stix+json;version=2.1").end().end();
  }

  static std::string envelope(const Page& page, Form form, const std::string& next) {
    std::string body;
    JsonWriter w(body);
    w.object().member("more", page.more);
    if (page.more) w.member("next", next);
    if (!page.entries.empty()) {
      w.key(form == Form::versions ? "versions" : "objects").array();
      for (const Entry& e : page.entries) {
        if (form == Form::objects) w.raw(e.body);
        else if (form == Form::versions) w.value(e.version);
        else
          w.object()
              .member("id", e.id)
              .member("date_added", stix::timestamp_us(e.added))
              .member("version", e.version)
              .member("media_type", "application/stix+json;version=" + e.spec)
              .end();
      }
      w.end();
    }
    w.end();
    return body;
  }

  Or<Ask> asked(const net::Request& q, bool versions) const {
    Ask a;
    a.limit = taxii_.options().page;
    if (const auto limit = q.asked("limit")) {
      std::int64_t n = 0;
      const auto [end, bad] = std::from_chars(limit->data(), limit->data() + limit->size(), n);
      const bool number = !limit->empty() && limit->find_first_not_of("0123456789") == std::string_view::npos;
      if (!number || (n <= 0 && bad == std::errc())) return refuse(400, "Bad limit", "limit is a whole number above 0");
      a.limit = bad == std::errc() && end == limit->data() + limit->size()
                    ? std::min(static_cast<std::size_t>(n), taxii_.options().most_page)
                    : taxii_.options().most_page;
    }
    a.limit = std::min(a.limit, taxii_.options().most_page);
    if (const auto after = q.asked("added_after")) {
      const auto t = time(*after);
      if (!t) return refuse(400, "Bad added_after", "added_after is a timestamp like 2026-03-01T12:00:00.000001Z");
      a.after = *t;
    }
    for (const auto& [name, to] :
         {std::pair{"match[id]", &a.ids}, {"match[type]", &a.types}, {"match[spec_version]", &a.specs}})
      if (const auto list = q.asked(name)) {
        *to = values_of(*list);
        if (to->empty() || to->size() > kMostMatches)
          return refuse(400, "Bad filter", fmt::format("{} has 1 to {} values", name, kMostMatches));
      }
    if (versions) {
      a.all = true;
      return a;
    }
    const auto list = q.asked("match[version]");
    if (!list) return a;
    a.last = false;
    const auto wanted = values_of(*list);
    if (wanted.empty() || wanted.size() > kMostMatches)
      return refuse(400, "Bad filter", fmt::format("match[version] has 1 to {} values", kMostMatches));
    for (const std::string& v : wanted) {
      if (v == "all") a.all = true;
      else if (v == "first") a.first = true;
      else if (v == "last") a.last = true;
      else if (const auto t = time(v)) a.at.push_back(micros(*t));
      else return refuse(400, "Bad filter", "match[version] is first, last, all or timestamps");
    }
    return a;
  }

  /// With date, time and zone: nothing is guessed.
  static std::optional<Instant> time(std::string_view text) {
    if (text.size() < 20 || text.size() > 40 || text[10] != 'T') return std::nullopt;
    return parse_time(text);
  }

  Taxii& taxii_;
  Who who_;
  std::function<std::string()> url_;
};

}  // namespace

bool asked_of_taxii(const net::Request& request) {
  return request.path == "/taxii2" || request.path.starts_with("/taxii2/");
}

void in_taxiis_words(net::Reply& reply) {
  const std::string* type = reply.headers.find("Content-Type");
  if (type == nullptr || !type->starts_with("application/problem+json")) return;
  const auto problem = net::JsonDocument::parse(reply.body);
  const int status = reply.status;
  const std::string_view title = status == 404   ? "Not found"
                                 : status == 405 ? "Method not allowed"
                                 : status == 413 ? "Too large"
                                 : status == 415 ? "Unsupported media type"
                                 : status == 429 ? "Too many requests"
                                 : status == 503 ? "Unavailable"
                                 : status < 500  ? "Bad request"
                                                 : "Internal error";
  net::Reply said =
      error({status, std::string(title), std::string(problem ? problem->root()["detail"].text_or("") : "")});
  reply.body = std::move(said.body);
  for (const auto& [name, value] : said.headers.all()) reply.headers.set(name, value);
}

void add_taxii_routes(net::Router& router, Taxii& taxii, Who who, std::function<std::string()> url) {
  auto r = std::make_shared<Routes>(taxii, std::move(who), std::move(url));
  const auto needs = net::Needs::anyone;  // keys of partners are checked here
  // With and without the slash at the end: clients build both.
  const auto get = [&](const std::string& pattern, const std::function<net::Reply(const net::Request&)>& f) {
    router.get(pattern, needs, f);
    router.get(pattern + '/', needs, f);
  };
  using Form = Routes::Form;
  const std::string root = "/taxii2/{root}", one = root + "/collections/{collection}",
                    object = one + "/objects/{object}";
  get("/taxii2", [r](const net::Request& q) { return r->discovery(q); });
  get(root, [r](const net::Request& q) { return r->root(q); });
  get(root + "/status/{status}", [r](const net::Request& q) { return r->status(q); });
  get(root + "/collections", [r](const net::Request& q) { return r->collections(q); });
  get(one, [r](const net::Request& q) { return r->collection(q); });
  get(one + "/manifest", [r](const net::Request& q) { return r->read(q, Form::manifest, false); });
  get(one + "/objects", [r](const net::Request& q) { return r->read(q, Form::objects, false); });
  get(object, [r](const net::Request& q) { return r->read(q, Form::objects, true); });
  get(object + "/versions", [r](const net::Request& q) { return r->read(q, Form::versions, true); });
  // A body that is a little too large is read and refused in the words of TAXII; one that is far too large is not read.
  const net::RouteOptions body{.max_body = taxii.options().most_content + (4U << 20U),
                               .deadline = std::chrono::seconds(120)};
  for (const std::string slash : {"", "/"}) {
    router.post(one + "/objects" + slash, needs, [r](const net::Request& q) { return r->add(q); }, body);
    router.del(object + slash, needs, [r](const net::Request& q) { return r->remove(q); });
  }
}

}  // namespace bavn::exchange::taxii
