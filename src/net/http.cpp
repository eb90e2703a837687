#include "net/http.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/respond_once.hpp"

namespace bavn::net {

namespace {

constexpr std::size_t max_query_parameters = 200;

int hex_digit(char c) {
  if (ascii_digit(c)) return c - '0';
  c = ascii_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string_view title_of(int status) {
  switch (status) {
    case 400: return "Bad request";
    case 401: return "Not authenticated";
    case 403: return "Forbidden";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 408: return "Request timeout";
    case 409: return "Conflict";
    case 411: return "Length required";
    case 413: return "Content too large";
    case 415: return "Unsupported media type";
    case 416: return "Range not satisfiable";
    case 429: return "Too many requests";
    case 431: return "Header too large";
    case 500: return "Internal error";
    case 501: return "Not implemented";
    case 503: return "Unavailable";
    default: return "Problem";
  }
}

std::string_view name_of(Code code) {
  switch (code) {
    case Code::bad_input: return "bad-input";
    case Code::not_found: return "not-found";
    case Code::conflict: return "conflict";
    case Code::forbidden: return "forbidden";
    case Code::unavailable: return "unavailable";
    case Code::corrupt: return "corrupt";
  }
  return "corrupt";
}

int status_of(Code code) {
  switch (code) {
    case Code::bad_input: return 400;
    case Code::not_found: return 404;
    case Code::conflict: return 409;
    case Code::forbidden: return 403;
    case Code::unavailable: return 503;
    case Code::corrupt: return 500;
  }
  return 500;
}

Reply problem_document(int status, std::string_view type, std::string_view title, std::string_view detail,
                       std::string_view pointer) {
  Reply reply;
  reply.status = status;
  reply.headers.set("Content-Type", "application/problem+json");
  JsonWriter w(reply.body);
  w.object().member("type", type).member("title", title).member("status", status).member("detail", detail);
  if (pointer.starts_with('/') || pointer.starts_with('?')) {  // of a body, or a query parameter
    w.key("errors").array();
    w.object().member("pointer", pointer).member("detail", detail).end();
    w.end();
  }
  w.end();
  if (status == 503) reply.headers.set("Retry-After", "5");
  return reply;
}

// Walks pattern and path segment by segment; params only when the whole matches.
bool matches(std::string_view pattern, std::string_view path, std::map<std::string, std::string, std::less<>>* params) {
  for (;;) {
    const std::size_t pattern_end = std::min(pattern.find('/', 1), pattern.size());
    const std::size_t path_end = std::min(path.find('/', 1), path.size());
    const std::string_view want = pattern.substr(0, pattern_end), have = path.substr(0, path_end);
    if (want.ends_with("...}")) {  // the rest of the path, with its slashes
      if (have.size() < 2) return false;
      if (params) params->insert_or_assign(std::string(want.substr(2, want.size() - 6)), std::string(path.substr(1)));
      return true;
    }
    if (want.size() > 2 && want[1] == '{') {
      if (have.size() < 2) return false;  // a parameter is never empty
      if (params) params->insert_or_assign(std::string(want.substr(2, want.size() - 3)), std::string(have.substr(1)));
    } else if (want != have) {
      return false;
    }
    pattern.remove_prefix(pattern_end);
    path.remove_prefix(path_end);
    if (pattern.empty() || path.empty()) return pattern.empty() && path.empty();
  }
}

Reply failed(const Request& request, std::string_view what) {
  log::error("handler_failed", {{"path", request.path}, {"trace", request.trace}, {"reason", what}});
  return problem(500, "Internal error", "the request could not be handled; the log says why");
}

}  // namespace

std::string_view to_string(Method m) {
  switch (m) {
    case Method::get: return "GET";
    case Method::head: return "HEAD";
    case Method::post: return "POST";
    case Method::put: return "PUT";
    case Method::patch: return "PATCH";
    case Method::del: return "DELETE";
  }
  return "GET";
}

void Headers::set(std::string_view name, std::string value) {
  for (auto& [n, v] : all_)
    if (iequals(n, name)) {
      v = std::move(value);
      return;
    }
  add(name, std::move(value));
}

void Headers::add(std::string_view name, std::string value) {
  all_.emplace_back(std::string(name), std::move(value));
}

const std::string* Headers::find(std::string_view name) const {
  for (const auto& [n, v] : all_)
    if (iequals(n, name)) return &v;
  return nullptr;
}

std::string_view Request::param(std::string_view name) const {
  const auto it = params.find(name);
  BAVN_ASSERT(it != params.end());
  return it->second;
}

std::optional<std::string_view> Request::asked(std::string_view name) const {
  const auto it = query.find(name);
  if (it == query.end()) return std::nullopt;
  return it->second;
}

std::optional<std::string> percent_decoded(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '%') {
      out += s[i];
      continue;
    }
    const int high = i + 2 < s.size() ? hex_digit(s[i + 1]) : -1;
    const int low = i + 2 < s.size() ? hex_digit(s[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string percent_encoded(std::string_view s) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string out;
  for (const char c : s) {
    const char l = ascii_lower(c);
    if (ascii_digit(c) || (l >= 'a' && l <= 'z') || std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += hex[byte >> 4U];
      out += hex[byte & 15U];
    }
  }
  return out;
}

Result<Request> request_for(Method method, std::string_view target) {
  // The absolute form, as proxies write it (RFC 9112 section 3.2.2): the authority is not needed.
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.starts_with(scheme)) {
      const std::size_t path = target.find_first_of("/?", scheme.size());
      target = path == std::string_view::npos || target[path] == '?' ? "/" : target.substr(path);
    }
  if (!target.starts_with('/')) return fail(Code::bad_input, "the request names no path");
  target = target.substr(0, target.find('#'));
  const std::size_t question = target.find('?');
  const std::string_view raw_path = target.substr(0, question);
  Request request;
  request.method = method;
  auto path = percent_decoded(raw_path);
  if (!path) return fail(Code::bad_input, "a percent escape in the path is broken");
  // An encoded slash would be a different path to us than to a proxy in front of us.
  if (std::count(path->begin(), path->end(), '/') != std::count(raw_path.begin(), raw_path.end(), '/') ||
      path->find('\0') != std::string::npos)
    return fail(Code::bad_input, "the path contains an encoded slash or NUL; put such values into the query");
  request.path = std::move(*path);
  if (question == std::string_view::npos) return request;
  std::size_t count = 0;
  for (const std::string_view pair : split(target.substr(question + 1), '&')) {
    if (pair.empty()) continue;
    if (++count > max_query_parameters)
      return fail(Code::bad_input, fmt::format("more than {} query parameters", max_query_parameters));
    const std::size_t is = pair.find('=');
    const auto decoded = [](std::string_view s) {
      std::string plus(s);
      std::replace(plus.begin(), plus.end(), '+', ' ');
      return percent_decoded(plus);
    };
    auto name = decoded(pair.substr(0, is));
    auto value = decoded(is == std::string_view::npos ? std::string_view() : pair.substr(is + 1));
    if (!name || !value) return fail(Code::bad_input, "a percent escape in the query is broken");
    request.query.try_emplace(std::move(*name), std::move(*value));
  }
  return request;
}

Reply text(std::string body, std::string_view content_type, int status) {
  Reply reply;
  reply.status = status;
  reply.headers.set("Content-Type", std::string(content_type));
  reply.body = std::move(body);
  return reply;
}

Reply json(std::string body, int status) {
  return text(std::move(body), "application/json", status);
}

Reply problem(const Error& error) {
  const int status = status_of(error.code);
  return problem_document(status, fmt::format("/problems/{}", name_of(error.code)), title_of(status), error.what,
                          error.where);
}

Reply problem(int status, std::string_view title, std::string_view detail) {
  return problem_document(status, "about:blank", title, detail, {});
}

void Router::add(Route route) {
  BAVN_ASSERT(route.pattern.starts_with('/'));
  for (const Route& other : routes_) BAVN_ASSERT(other.method != route.method || other.pattern != route.pattern);
  routes_.push_back(std::move(route));
}

void Router::get(std::string pattern, Needs needs, Handler handler, RouteOptions options) {
  add({Method::get, std::move(pattern), needs, std::move(options), std::move(handler), {}, {}});
}
void Router::post(std::string pattern, Needs needs, Handler handler, RouteOptions options) {
  add({Method::post, std::move(pattern), needs, std::move(options), std::move(handler), {}, {}});
}
void Router::put(std::string pattern, Needs needs, Handler handler, RouteOptions options) {
  add({Method::put, std::move(pattern), needs, std::move(options), std::move(handler), {}, {}});
}
void Router::del(std::string pattern, Needs needs, Handler handler, RouteOptions options) {
  add({Method::del, std::move(pattern), needs, std::move(options), std::move(handler), {}, {}});
}
void Router::async(Method method, std::string pattern, Needs needs, AsyncHandler handler, RouteOptions options) {
  add({method, std::move(pattern), needs, std::move(options), {}, std::move(handler), {}});
}
void Router::stream(std::string pattern, Needs needs, StreamHandler handler, RouteOptions options) {
  add({Method::get, std::move(pattern), needs, std::move(options), {}, {}, std::move(handler)});
}

Result<const Route*> Router::match(Method method, std::string_view path,
                                   std::map<std::string, std::string, std::less<>>& params) const {
  if (method == Method::head) method = Method::get;
  // A pattern without parameters wins over one with, whichever was added first.
  const Route* found = nullptr;
  std::string allowed;
  for (const Route& route : routes_) {
    if (!matches(route.pattern, path, nullptr)) continue;
    if (route.method == method) {
      if (!found || route.pattern == path) found = &route;
    } else {
      if (!allowed.empty()) allowed += ", ";
      allowed += to_string(route.method);
    }
  }
  if (found) {
    params.clear();
    matches(found->pattern, path, &params);
    return found;
  }
  if (allowed.empty()) return fail(Code::not_found, fmt::format("there is nothing at {}", path));
  return fail(Code::conflict, fmt::format("{} is not possible here, but {} is", to_string(method), allowed), allowed);
}

std::optional<Reply> Router::refusal(Request& request, const Route& route) const {
  if (door_.knock)
    if (auto no = door_.knock(request, route)) return no;
  if (authenticator_) {
    auto scope = authenticator_(request);
    if (scope) {
      request.scope = std::move(*scope);
    } else if (route.needs != Needs::anyone) {
      Reply reply = scope.error().code == Code::unavailable ? problem(scope.error())
                                                            : problem(401, title_of(401), scope.error().what);
      if (reply.status == 401) reply.headers.set("WWW-Authenticate", "Bearer");
      return reply;
    }
  }
  if (route.needs != Needs::anyone && !request.scope.may(route.needs))
    return problem({Code::forbidden, "this needs a right that the caller does not have", {}});
  return std::nullopt;
}

Respond Router::arrived(Request& request, Respond respond) const {
  if (!door_.arrive) return respond;
  return respond_once([leave = door_.arrive(request), respond = std::move(respond)](Reply reply) mutable {
    leave(reply);
    respond(std::move(reply));
  });
}

void Router::polish(Request& request, Reply& reply) const {
  if (door_.arrive) door_.arrive(request)(reply);
}

void Router::handle(Request request, Respond respond) const {
  respond = arrived(request, std::move(respond));
  const auto route = match(request.method, request.path, request.params);
  if (!route) {
    if (door_.otherwise && (request.method == Method::get || request.method == Method::head))
      if (auto reply = door_.otherwise(request)) return respond(std::move(*reply));
    if (route.error().code != Code::conflict) return respond(problem(route.error()));
    Reply reply = problem(405, title_of(405), route.error().what);
    reply.headers.set("Allow", route.error().where);
    return respond(std::move(reply));
  }
  const Route& r = **route;
  try {
    if (auto refused = refusal(request, r)) return respond(std::move(*refused));
    if (r.stream) return respond(problem(400, title_of(400), "this is a stream of events and has no body"));
    if (door_.enter)
      if (auto refused = door_.enter(request, r, respond)) return respond(std::move(*refused));
    if (r.handler) return respond(r.handler(request));
  } catch (const std::exception& e) {
    return respond(failed(request, e.what()));
  }
  // The async handler owns respond: when it throws, respond dies uncalled and the server answers 500.
  try {
    r.async(std::move(request), std::move(respond));
  } catch (const std::exception& e) {
    log::error("handler_failed", {{"route", r.pattern}, {"reason", e.what()}});
  }
}

void Router::open_stream(Request request, std::shared_ptr<EventStream> stream, Respond refused) const {
  const auto route = match(request.method, request.path, request.params);
  if (!route || !(*route)->stream) return handle(std::move(request), std::move(refused));
  // Not respond_once: a stream that opens leaves `refused` uncalled.
  if (door_.arrive)
    refused = [leave = door_.arrive(request), refused = std::move(refused)](Reply reply) mutable {
      leave(reply);
      refused(std::move(reply));
    };
  try {
    if (auto no = refusal(request, **route)) return refused(std::move(*no));
    if (door_.enter)
      if (auto no = door_.enter(request, **route, refused)) return refused(std::move(*no));
    (*route)->stream(request, std::move(stream));
  } catch (const std::exception& e) {
    refused(failed(request, e.what()));
  }
}

}  // namespace bavn::net
