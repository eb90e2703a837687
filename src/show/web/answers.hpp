#pragma once
// What handlers of the API answer with: problems, lists with cursors, tags of what is edited, times. Plain functions; any thread.
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/catalogue.hpp"
#include "base/time.hpp"
#include "net/http.hpp"

namespace bavn::show::web {

/// One thing that is wrong in a body or a query. pointer: RFC 6901 into the body, or "?limit" for a parameter.
struct Fault {
  std::string pointer, detail;
};

/// RFC 9457. name: the last part of the stable type, "/problems/stale-edit"; it must be in the catalogue (problem.stale_edit.title and
/// .advice), where the door takes the words of the reader's language from. detail: what happened to which thing, in English.
net::Reply problem(int status, std::string_view name, std::string_view detail, std::vector<Fault> faults = {});
/// 422: a body that can be read but not accepted.
net::Reply refused(std::vector<Fault> faults);
/// The value as JSON (to_json of net/json_views.hpp made it), or the problem.
net::Reply answer(const Result<std::string>& json);
/// 204, or the problem.
net::Reply done(const Result<void>& result);
/// 201 with Location.
net::Reply created(std::string json, std::string location);
/// Holds a secret that is shown this once: never kept for a repeated Idempotency-Key.
net::Reply shown_once(net::Reply reply);

/// What ?limit and ?cursor say. The cursor's content is the list's own (a position), and empty at the start.
struct Page {
  std::size_t limit = 50;
  std::string after;
};
/// list: names the list, so that a cursor of another one is refused. bad_input for a limit that is none or a strange cursor.
Result<Page> page_of(const net::Request& request, std::string_view list, std::size_t usual = 50,
                     std::size_t most = 500);
std::string cursor_of(std::string_view list, std::string_view position);
/// {"items":[...],"next":"..."}; next is left out when there is no more. items: each a JSON value.
net::Reply list(const std::vector<std::string>& items, const std::optional<std::string>& next);

/// A strong ETag of this version of a thing, quotes included: of a number that grows with each change, or of its text.
std::string etag_of(std::uint64_t version);
std::string etag_of_text(std::string_view text);
/// Before an edit. 428 without If-Match, 412 when it names another version than `etag`; nothing: go on. "*" is any version.
std::optional<net::Reply> must_match(const net::Request& request, std::string_view etag);
/// 304 when the caller has this version already (If-None-Match).
std::optional<net::Reply> unchanged(const net::Request& request, std::string_view etag);
net::Reply tagged(net::Reply reply, std::string etag);

/// "2024-10-01T12:00:00.123Z": RFC 3339, UTC, always with milliseconds.
std::string time_text(Instant t);
/// Of ?from and the like. bad_input names the parameter.
Result<std::optional<Instant>> time_asked(const net::Request& request, std::string_view name);
Result<std::optional<std::int64_t>> number_asked(const net::Request& request, std::string_view name, std::int64_t least,
                                                 std::int64_t most);
/// {id} of the route as a number; not_found when it is none: there is no such thing.
Result<std::int64_t> id_of(const net::Request& request, std::string_view name = "id");

/// The reader's language: ?language of a page, the header Accept-Language, or English.
Language language_of(const net::Request& request);

}  // namespace bavn::show::web
