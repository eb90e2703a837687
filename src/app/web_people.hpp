#pragma once
// People at the web address of a hub or node: who they are, and the links that the machine's owner gives out.
//   POST /web/links on the control interface: {} for the first person who administers, {"person":7} for somebody's one-time link.
// Life: after State and before its start(); before the Site goes. Thread rules: as Identity.
#include <memory>
#include <string>

#include "app/control.hpp"
#include "show/auth/identity.hpp"
#include "show/web/site.hpp"

namespace bavn::app {

class WebPeople {
 public:
  /// partners: who else may come in by a key that is no person's; not_found: it is none of them.
  static Result<std::unique_ptr<WebPeople>> open(Runtime& runtime, store::State& state, const Catalogue& texts,
                                                 const Control& control, net::Router& control_router,
                                                 show::web::Site& site, show::auth::IdentityOptions options,
                                                 const Settings& settings, const OtherDoor& partners = {});
  /// When the site has its port. The link for the first person; empty when somebody administers.
  Result<std::string> listening(const show::web::Site& site);
  show::auth::Identity& identity() { return *identity_; }

 private:
  WebPeople(Runtime& runtime, store::State& state) : people_(runtime, state) {}
  tenants::People people_;
  std::unique_ptr<net::Client> client_;
  std::unique_ptr<show::auth::Identity> identity_;
};

}  // namespace bavn::app
