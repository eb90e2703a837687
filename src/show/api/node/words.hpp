#pragma once
// What the handlers of a node write and read alike: times, municipalities, observables, bodies. Plain functions; any thread.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/json_writer.hpp"
#include "base/result.hpp"
#include "event/observable.hpp"
#include "net/http.hpp"
#include "net/json_views.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::api {

/// RFC 3339; left out when it is 0: not known, or never.
void add_time(JsonWriter& w, std::string_view name, std::int64_t us);
/// {"code","name"}.
void add_municipality(JsonWriter& w, std::string_view name, MunicipalityId m);
/// Left out when empty.
void add_text(JsonWriter& w, std::string_view name, std::string_view text);
/// An object {"kind","value","defanged"}, without its end: more may follow.
JsonWriter& begin_observable(JsonWriter& w, const event::Observable& o);
/// Names a person: looking for it needs a reason.
bool is_personal(event::Kind kind);
/// Valid UTF-8 of at most `most` bytes; what is none becomes U+FFFD.
std::string shown(std::string_view bytes, std::size_t most);

/// The municipality that ?municipality names, or the only one there is; not_found when the caller does not see it.
Result<MunicipalityId> municipality_asked(const net::Request& q, const std::vector<MunicipalityId>& ours);

/// A body as T. What cannot be read is 400, what can but is not accepted 422 with its place.
net::Reply bad_body(const Error& error);
/// Problems of our own modules whose `where` is a place in the body ("/why") say so.
net::Reply trouble(const Error& error);
template <class T>
std::optional<net::Reply> read_body(const net::Request& q, T& into) {
  auto read = net::from_json<T>(q.body, net::Unknown::refuse);
  if (!read) return bad_body(read.error());
  into = std::move(*read);
  return std::nullopt;
}
net::Reply not_here(std::string_view what);  // 404: this node follows no hub

/// 204, or trouble().
net::Reply done_or(const Result<void>& result);
bool flag_asked(const net::Request& q, std::string_view name);

}  // namespace bavn::show::api
