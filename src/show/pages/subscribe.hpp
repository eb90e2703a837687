#pragma once
// Bulletins by mail for whoever is not signed in: /subscribe, the links in the mails, without script. No page says whether an address subscribes.
// The link that ends a subscription takes a bare POST, too: one click in a mail program (RFC 8058).
// Life: made before the router is served, gone after. Thread rules: any thread.
#include <string>
#include <string_view>

#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "net/http.hpp"
#include "show/web/limits.hpp"

namespace bavn::exchange {
class Subscribers;
}

namespace bavn::show::pages {

class SubscribeDesk {
 public:
  /// name: of the CERT; confirm: how long the link is good.
  SubscribeDesk(Runtime& runtime, exchange::Subscribers& subscribers, const Catalogue& texts, std::string name,
                std::chrono::seconds confirm);
  /// /subscribe (also /abonner), /subscribe/sent, /subscribe/confirm/{token}, /subscribe/end/{token}.
  void add_routes(net::Router& router);

 private:
  std::string say(Language language, std::string_view key) const;
  net::Reply form(Language language, std::string_view address, std::string_view fault, int status) const;
  net::Reply take(const net::Request& request);
  /// A question with a button: mail filters open links, they press nothing.
  net::Reply question(const net::Request& request, std::string_view what) const;
  net::Reply said(Language language, std::string_view what, std::string_view key, int status, bool ask_again) const;

  exchange::Subscribers& subscribers_;
  const Catalogue& texts_;
  std::string name_, hours_;
  web::Limits limits_;
};

}  // namespace bavn::show::pages
