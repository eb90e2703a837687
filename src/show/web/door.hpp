#pragma once
// What every request of the site passes: a trace, its true address, the check that a write came from our own pages, limits, the
// Idempotency-Key; and every reply: headers that keep browsers safe, problems in the reader's language.
// Life: as its Site. Thread rules: any thread.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/catalogue.hpp"
#include "base/metrics.hpp"
#include "net/http.hpp"
#include "show/web/limits.hpp"
#include "show/web/site.hpp"
#include "store/state.hpp"

namespace bavn::show::web {

class DoorKeeper {
 public:
  DoorKeeper(const Parts& parts, const Options& options);
  /// streams_left: whether this person may open one more. otherwise: what no route has.
  net::Door door(std::function<bool(const event::Scope&)> streams_left,
                 std::function<std::optional<net::Reply>(const net::Request&)> otherwise);
  /// The host and port under which the site is reached: known when it listens.
  void use_url(const std::string& url);
  /// The page of a problem, for browsers that asked for one.
  using ErrorPage = std::function<net::Reply(Language, int status, const std::string& title, const std::string& advice,
                                             const std::string& trace)>;
  void use_error_page(ErrorPage page) { error_page_ = std::move(page); }

 private:
  struct Visit {
    Language language = Language::en;
    std::string trace, address;
    bool wants_page = false, taxii = false;
  };
  std::function<void(net::Reply&)> arrive(net::Request& request);
  std::optional<net::Reply> knock(net::Request& request, const net::Route& route);
  std::optional<net::Reply> enter(net::Request& request, const net::Route& route, net::Respond& respond);
  void leave(const Visit& visit, net::Reply& reply);
  void explain(const Visit& visit, net::Reply& reply) const;
  std::string address_of(const net::Request& request) const;
  std::optional<net::Reply> of_another_origin(const net::Request& request) const;
  std::optional<net::Reply> once(net::Request& request, std::string_view key, net::Respond& respond);
  std::string new_trace();

  Runtime& runtime_;
  store::State& state_;
  const Catalogue& texts_;
  Options options_;
  Limits limits_;
  std::string run_;  // names this life of the process in web_once
  Guarded<std::string> host_, origin_;
  std::function<bool(const event::Scope&)> streams_left_;
  ErrorPage error_page_;
  Counter &limited_, &foreign_, &replayed_, &failed_;
};

}  // namespace bavn::show::web
