#pragma once
// One SMS out, through any gateway that speaks HTTP: an address, a body and a header as templates, a secret from a file.
// Placeholders: {to} digits with the country in front, {to_plus} the same with "+", {text}, {from}, {id} (the same at every attempt), and in the
// body and header {secret}. In the address values are percent-encoded, in a JSON body escaped, in a form percent-encoded; {{ and }} are braces.
// Thread rules: any thread. Life: after the client, gone before it.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/runtime.hpp"
#include "base/secret.hpp"
#include "base/settings.hpp"
#include "net/client.hpp"

namespace bavn::notify {

struct SmsOptions {
  std::string url{};                      // "https://gateway.example/send", or "...?to={to}&text={text}"
  std::string body{};                     // {{"to":"{to}","message":"{text}"}}; empty: the request is a GET
  std::string type = "application/json";  // of the body: or application/x-www-form-urlencoded, text/plain
  std::string header{};                   // "Authorization: Bearer {secret}"; empty: none
  std::string from{};
  std::string answer{};  // a 2xx counts only when its body holds this; empty: every 2xx does
};

class SmsGateway {
 public:
  /// bad_input: a template with an unknown placeholder or half a brace, an address that is not http(s), a secret in the address.
  static Result<std::unique_ptr<SmsGateway>> open(net::Client& client, SmsOptions options, Secret<std::string> secret);
  /// to: "+45 12 34 56 78". The gateway's answer, or unavailable with what went wrong. `then` is called on `queue`.
  void send(std::string_view to, std::string_view text, std::string_view id, QueueId queue,
            std::move_only_function<void(Result<std::string>)> then);

 private:
  SmsGateway(net::Client& client, SmsOptions options, Secret<std::string> secret)
      : client_(client), options_(std::move(options)), secret_(std::move(secret)) {}
  net::Client& client_;
  SmsOptions options_;
  Secret<std::string> secret_;
};

/// notify.sms_url and its neighbours, for the settings of a hub or node.
std::span<const Setting> sms_settings();
/// Null when notify.sms_url is empty. Reads the secret's file.
Result<std::unique_ptr<SmsGateway>> sms_of(Files& files, net::Client& client, const Settings& settings);

}  // namespace bavn::notify
