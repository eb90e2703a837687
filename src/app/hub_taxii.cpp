#include "app/hub_taxii.hpp"

#include "base/encoding.hpp"
#include "base/text.hpp"

namespace bavn::app {

namespace {

namespace tx = exchange::taxii;

/// TAXII clients know HTTP Basic; a person's API key is its password.
std::optional<net::Request> with_key_of_basic(const net::Request& q) {
  const std::string* header = q.headers.find("Authorization");
  if (header == nullptr || header->size() > 1000 || header->size() < 6 || !iequals(header->substr(0, 6), "Basic "))
    return std::nullopt;
  const auto plain = from_base64(trim(std::string_view(*header).substr(6)));
  const auto colon = plain ? plain->find(':') : std::string::npos;
  if (colon == std::string::npos) return std::nullopt;
  net::Request with_key;
  with_key.method = q.method;
  with_key.path = q.path;
  with_key.peer = q.peer;
  with_key.headers = q.headers;
  with_key.headers.set("Authorization", "Bearer " + plain->substr(colon + 1));
  return with_key;
}

}  // namespace

Result<std::unique_ptr<tx::Taxii>> open_taxii(Runtime& runtime, store::State& state, const HubOptions& options) {
  tx::Options o = options.settings != nullptr ? tx::Options::from(*options.settings) : tx::Options();
  o.name = options.name.empty() ? std::string("hub") : options.name;
  return tx::Taxii::open(runtime, state, std::move(o));
}

void add_taxii(net::Router& router, tx::Taxii& taxii, const exchange::PartnerKeys& keys) {
  const auto who = [&router, &keys](const net::Request& q) -> Result<tx::Caller> {
    tx::Caller c;
    auto partner = keys.partner_of(q);
    if (partner) {
      c.who = "partner:" + partner->name;
      c.peer = partner->peer;
      c.name = std::move(partner->name);
      c.may_read = partner->may_read;
      c.may_write = partner->may_write;
      c.ceiling = partner->ceiling;
      c.kinds = std::move(partner->kinds);
      c.sectors = std::move(partner->sectors);
      return c;
    }
    if (partner.error().code != Code::not_found) return std::unexpected(std::move(partner.error()));
    event::Scope scope = q.scope;
    if (!scope.may(event::Right::indicator_read) || scope.who() == "nobody") {
      const auto with_key = with_key_of_basic(q);
      if (!with_key || !router.authenticator()) return fail(Code::not_found, "nobody we know");
      BAVN_TRY(scope, router.authenticator()(*with_key));
    }
    if (!scope.may(event::Right::indicator_read))
      return fail(Code::forbidden, "this needs the right to see indicators");
    c.who = scope.who();
    c.may_read = true;
    c.ceiling = scope.ceiling();
    return c;
  };
  tx::add_taxii_routes(router, taxii, who, {});
}

}  // namespace bavn::app
