#include "app/control.hpp"

#include "base/content.hpp"
#include "base/text.hpp"

namespace bavn::app {

namespace {

constexpr std::string_view kBearer = "Bearer ", kCookie = "bavn_control=";

event::Scope reader_scope() {
  using event::Right;
  std::uint32_t rights = 0;
  for (const Right r : {Right::event_read, Right::finding_read, Right::indicator_read, Right::alert_read,
                        Right::tenants_read, Right::audit_read, Right::left_us_read})
    rights |= static_cast<std::uint32_t>(r);
  return event::Scope::local_reader(rights);
}

void guard(net::Reply& reply) {
  reply.headers.set("Content-Security-Policy",
                    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
                    "form-action 'none'; "
                    "frame-ancestors 'none'");
  reply.headers.set("X-Content-Type-Options", "nosniff");
  reply.headers.set("Referrer-Policy", "no-referrer");
  reply.headers.set("Cache-Control", "no-store");
}

}  // namespace

Result<event::Scope> Control::authenticate(const net::Request& request, const OtherDoor& other) const {
  if (other) {
    auto scope = other(request);
    if (scope || scope.error().code != Code::not_found) return scope;
  }
  if (const std::string* header = request.headers.find("Authorization");
      header != nullptr && header->starts_with(kBearer)) {
    if (same_secret(std::string_view(*header).substr(kBearer.size()), key_)) return event::Scope::local_owner();
    return fail(Code::forbidden, "this key is not of the process that runs now");
  }
  if (const std::string* header = request.headers.find("Cookie"); header != nullptr)
    for (const std::string_view each : split(*header, ';')) {
      const std::string_view cookie = trim(each);
      if (cookie.starts_with(kCookie) && same_secret(cookie.substr(kCookie.size()), key_)) return reader_scope();
    }
  return event::Scope("nobody", {}, 0, event::Tlp::clear);
}

Result<event::Scope> Control::owner_here(const net::Request& request) const {
  const std::string* header = request.headers.find("Authorization");
  const std::string& from = request.peer.address;
  const bool here = from == "::1" || from.starts_with("127.");
  if (here && header != nullptr && header->starts_with(kBearer) &&
      same_secret(std::string_view(*header).substr(kBearer.size()), key_))
    return event::Scope::local_owner();
  return fail(Code::forbidden, "nobody is signed in");
}

void Control::add_pages(net::Router& router, std::function<Result<StatusView>(const event::Scope&)> view) const {
  router.get("/", net::Needs::tenants_read, [view](const net::Request& q) {
    const auto v = view(q.scope);
    if (!v) return net::problem(v.error());
    net::Reply reply = net::text(status_html(*v), "text/html; charset=utf-8");
    guard(reply);
    return reply;
  });
  router.get("/status.json", net::Needs::tenants_read, [view](const net::Request& q) {
    const auto v = view(q.scope);
    return v ? net::json(status_json(*v)) : net::problem(v.error());
  });
  for (const auto& [path, type] :
       {std::pair("/status.css", "text/css; charset=utf-8"), {"/status.js", "text/javascript; charset=utf-8"}})
    router.get(path, net::Needs::anyone,
               [name = std::string("content/pages") + path, content_type = std::string(type)](const net::Request&) {
                 net::Reply reply = net::text(std::string(content::file(name).value_or("")), content_type);
                 guard(reply);
                 return reply;
               });
  router.get("/open", net::Needs::anyone, [key = key_](const net::Request& q) {
    const auto given = q.asked("key");
    if (!given || !same_secret(*given, key))
      return net::problem(403, "The link is of another start",
                          "Bavn prints a new link each time it starts; `status` shows it again.");
    net::Reply reply;
    reply.status = 303;
    reply.headers.set("Location", "/");
    reply.headers.set("Set-Cookie", std::string(kCookie) + key + "; HttpOnly; SameSite=Strict; Path=/");
    guard(reply);
    return reply;
  });
}

}  // namespace bavn::app
