#include "notify/sms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "net/url.hpp"

namespace bavn::notify {

namespace {

constexpr Setting kSettings[] = {
    {"notify.sms_url",
     Unit::none,
     std::string_view(""),
     {0, 1000},
     "Address of an SMS gateway that speaks HTTP, {to} and {text} in it or in the body; empty: no SMS are sent.",
     Restart::yes},
    {"notify.sms_body",
     Unit::none,
     std::string_view("{{\"to\":\"{to}\",\"from\":\"{from}\",\"message\":\"{text}\"}}"),
     {0, 4000},
     "What is posted to the gateway, with {to}, {to_plus}, {text}, {from}, {id} and {secret}; empty: a GET.",
     Restart::yes},
    {"notify.sms_type",
     Unit::none,
     std::string_view("application/json"),
     {1, 100},
     "Type of that body: application/json, application/x-www-form-urlencoded or text/plain.",
     Restart::yes},
    {"notify.sms_header",
     Unit::none,
     std::string_view("Authorization: Bearer {secret}"),
     {0, 500},
     "A header for the gateway; empty: none.",
     Restart::yes},
    {"notify.sms_secret_file",
     Unit::none,
     std::string_view(""),
     {0, 1000},
     "File that holds the gateway's secret and nothing else.",
     Restart::yes},
    {"notify.sms_from",
     Unit::none,
     std::string_view("Bavn"),
     {1, 20},
     "Whom the SMS is from: at most 11 letters, or a number.",
     Restart::yes},
    {"notify.sms_answer",
     Unit::none,
     std::string_view(""),
     {0, 200},
     "A 2xx of the gateway counts only when its body holds this (some answer 200 to everything); empty: every 2xx "
     "counts.",
     Restart::yes},
};

enum class As : std::uint8_t { url, json, form, plain };

struct Values {
  std::string to, to_plus, text, from, id, secret;
  const std::string* find(std::string_view name) const {
    if (name == "to") return &to;
    if (name == "to_plus") return &to_plus;
    if (name == "text") return &text;
    if (name == "from") return &from;
    if (name == "id") return &id;
    if (name == "secret") return &secret;
    return nullptr;
  }
};

std::string written(const std::string& value, As as) {
  switch (as) {
    case As::url:
    case As::form: return net::percent_encoded(value);
    case As::json: {
      std::string quoted;
      append_json_string(quoted, value);
      return quoted.substr(1, quoted.size() - 2);
    }
    case As::plain: break;
  }
  std::string line = value;
  std::replace_if(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

/// One pass: what is put in is never looked at again.
Result<std::string> filled(std::string_view pattern, const Values& values, As as, std::string_view where) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size();) {
    const char c = pattern[i];
    if (c != '{' && c != '}') {
      out += c;
      ++i;
      continue;
    }
    if (i + 1 < pattern.size() && pattern[i + 1] == c) {
      out += c;
      i += 2;
      continue;
    }
    const auto end = pattern.find('}', i);
    if (c == '}' || end == std::string_view::npos)
      return fail(Code::bad_input, "a brace without its partner: write {{ or }} for a brace", std::string(where));
    const auto name = pattern.substr(i + 1, end - i - 1);
    const std::string* value = values.find(name);
    if (value == nullptr)
      return fail(Code::bad_input, "a placeholder is {to}, {to_plus}, {text}, {from}, {id} or {secret}",
                  std::string(where));
    out += written(*value, as);
    i = end + 1;
  }
  return out;
}

As kind_of(std::string_view type) {
  if (type.starts_with("application/json")) return As::json;
  if (type.starts_with("application/x-www-form-urlencoded")) return As::form;
  return As::plain;
}

}  // namespace

std::span<const Setting> sms_settings() {
  return kSettings;
}

Result<std::unique_ptr<SmsGateway>> sms_of(Files& files, net::Client& client, const Settings& settings) {
  SmsOptions o;
  o.url = settings.text("notify.sms_url");
  if (o.url.empty()) return std::unique_ptr<SmsGateway>();
  o.body = settings.text("notify.sms_body");
  o.type = settings.text("notify.sms_type");
  o.header = settings.text("notify.sms_header");
  o.from = settings.text("notify.sms_from");
  o.answer = settings.text("notify.sms_answer");
  std::string secret;
  if (const std::string& file = settings.text("notify.sms_secret_file"); !file.empty()) {
    BAVN_TRY(const std::string text, read_file(files, file, 4096));
    secret = trim(text);
  }
  return SmsGateway::open(client, std::move(o), Secret<std::string>(std::move(secret)));
}

Result<std::unique_ptr<SmsGateway>> SmsGateway::open(net::Client& client, SmsOptions options,
                                                     Secret<std::string> secret) {
  const Values example{"4512345678", "+4512345678", "text", "from", "id", "secret"};
  if (options.url.find("{secret}") != std::string::npos)
    return fail(Code::bad_input, "a secret in an address ends up in logs: put it into the header or body",
                "notify.sms_url");
  BAVN_TRY(const auto url, filled(options.url, example, As::url, "notify.sms_url"));
  BAVN_CHECK(net::parse_url(url));
  BAVN_CHECK(filled(options.body, example, As::plain, "notify.sms_body"));
  BAVN_TRY(const auto header, filled(options.header, example, As::plain, "notify.sms_header"));
  if (!header.empty() && (header.find(": ") == std::string::npos || header.starts_with(':')))
    return fail(Code::bad_input, "a header is NAME: VALUE", "notify.sms_header");
  const auto holds = [&](std::string_view name) {
    return options.url.find(name) != std::string::npos || options.body.find(name) != std::string::npos;
  };
  if (!holds("{text}") || !(holds("{to}") || holds("{to_plus}")))
    return fail(Code::bad_input, "neither the address nor the body of the SMS gateway says {to} and {text}",
                "notify.sms_url");
  return std::unique_ptr<SmsGateway>(new SmsGateway(client, std::move(options), std::move(secret)));
}

void SmsGateway::send(std::string_view to, std::string_view text, std::string_view id, QueueId queue,
                      std::move_only_function<void(Result<std::string>)> then) {
  Values v;
  for (const char c : to)
    if (ascii_digit(c)) v.to += c;
  v.to_plus = "+" + v.to;
  v.text = text;
  v.from = options_.from;
  v.id = id;
  net::ClientRequest request{.method = options_.body.empty() ? net::Method::get : net::Method::post};
  const auto built = secret_.reveal([&](const std::string& secret) -> Result<void> {
    BAVN_TRY(request.url, filled(options_.url, v, As::url, "notify.sms_url"));
    v.secret = secret;
    BAVN_TRY(request.body, filled(options_.body, v, kind_of(options_.type), "notify.sms_body"));
    BAVN_TRY(const auto header, filled(options_.header, v, As::plain, "notify.sms_header"));
    if (const auto colon = header.find(": "); colon != std::string::npos)
      request.headers.set(header.substr(0, colon), header.substr(colon + 2));
    return {};
  });
  wipe(v.secret.data(), v.secret.size());
  if (!built) return then(std::unexpected(built.error()));
  if (!request.body.empty()) request.headers.set("Content-Type", options_.type);
  request.max_reply = 64U << 10U;
  client_.send(std::move(request), queue,
               [wanted = options_.answer, then = std::move(then)](Result<net::ClientReply> reply) mutable {
                 if (!reply) return then(std::unexpected(reply.error()));
                 if (reply->status < 200 || reply->status >= 300)
                   return then(fail(Code::unavailable, fmt::format("the SMS gateway answered {}", reply->status)));
                 if (!wanted.empty() && reply->body.find(wanted) == std::string::npos)
                   return then(fail(Code::unavailable,
                                    fmt::format("the SMS gateway answered {} without \"{}\"", reply->status, wanted)));
                 then(std::to_string(reply->status));
               });
}

}  // namespace bavn::notify
