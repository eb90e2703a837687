#include "show/api/node/words.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "tenants/municipalities.hpp"
#include "warn/case.hpp"

namespace bavn::show::api {

void add_time(JsonWriter& w, std::string_view name, std::int64_t us) {
  if (us != 0) w.member(name, web::time_text(from_micros(us)));
}

void add_municipality(JsonWriter& w, std::string_view name, MunicipalityId m) {
  static const tenants::Municipalities known = tenants::Municipalities::all();
  const auto* facts = known.find(m);
  w.key(name).object().member("code", fmt::format("{:04}", m.value));
  if (facts != nullptr) w.member("name", facts->name);
  w.end();
}

void add_text(JsonWriter& w, std::string_view name, std::string_view text) {
  if (!text.empty()) w.member(name, text);
}

JsonWriter& begin_observable(JsonWriter& w, const event::Observable& o) {
  return w.object()
      .member("kind", event::to_string(o.kind))
      .member("value", o.value)
      .member("defanged", warn::defanged(o.value));
}

bool is_personal(event::Kind kind) {
  using event::Kind;
  return kind == Kind::email || kind == Kind::account || kind == Kind::phone || kind == Kind::bank_account ||
         kind == Kind::subject;
}

std::string shown(std::string_view bytes, std::size_t most) {
  std::size_t end = std::min(bytes.size(), most);
  while (end > 0 && end < bytes.size() && (static_cast<unsigned char>(bytes[end]) & 0xC0U) == 0x80U) --end;
  return std::string(bytes.substr(0, end));  // JsonWriter makes U+FFFD of what is no UTF-8
}

Result<MunicipalityId> municipality_asked(const net::Request& q, const std::vector<MunicipalityId>& ours) {
  const auto name = q.asked("municipality");
  if (!name || name->empty()) {
    std::optional<MunicipalityId> only;
    for (const MunicipalityId m : ours)
      if (q.scope.sees(m)) {
        if (only) return fail(Code::bad_input, "this node is of several municipalities: say which", "?municipality");
        only = m;
      }
    if (!only) return fail(Code::not_found, "there is no municipality here that the caller sees");
    return *only;
  }
  static const tenants::Municipalities known = tenants::Municipalities::all();
  BAVN_TRY(const auto* m, known.named(*name));
  if (std::find(ours.begin(), ours.end(), m->id) == ours.end() || !q.scope.sees(m->id))
    return fail(Code::not_found, fmt::format("{} is not of this node", m->name));
  return m->id;
}

net::Reply bad_body(const Error& error) {
  if (error.where.starts_with('/')) return web::refused({{error.where, error.what}});
  return net::problem(error);
}

net::Reply trouble(const Error& error) {
  if (error.code == Code::bad_input && error.where.starts_with('/')) return web::refused({{error.where, error.what}});
  return net::problem(error);
}

net::Reply not_here(std::string_view what) {
  return net::problem(Error{Code::not_found, fmt::format("this node follows no hub: there is no {} here", what), {}});
}

net::Reply done_or(const Result<void>& result) {
  if (!result) return trouble(result.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}

bool flag_asked(const net::Request& q, std::string_view name) {
  const auto v = q.asked(name);
  return v && *v != "false" && *v != "0";
}

}  // namespace bavn::show::api
