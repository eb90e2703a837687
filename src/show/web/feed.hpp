#pragma once
// GET /api/events: what the outbox announces, to each open stream what its reader may see, resumed from the id seen last.
// Everything of a stream happens on one queue, in order of the outbox. Life: as its Site; watch() before State::start().
// Thread rules: any thread.
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "base/metrics.hpp"
#include "net/http.hpp"
#include "show/web/site.hpp"
#include "store/state.hpp"

namespace bavn::show::web {

class Feed {
 public:
  Feed(const Parts& parts, const Options& options);
  ~Feed();

  void add_routes(net::Router& router);
  void watch();
  bool may_open(const event::Scope& scope) const;
  using StillValid = std::function<bool(const net::Request&)>;
  void use_still_valid(StillValid f);
  void end_streams_of(std::string_view who);
  /// Closes every stream and opens no more.
  void stop();

 private:
  struct Client {
    std::shared_ptr<net::EventStream> stream;
    net::Request request;  // without body: asked again every minute whether it still holds
    std::vector<std::string> kinds;
    std::int64_t position = 0;
    bool live = false;  // false: reads what it missed from the table
  };
  struct Alive {
    Feed* feed = nullptr;
  };
  void open(const net::Request& request, std::shared_ptr<net::EventStream> stream);
  void begin(const std::shared_ptr<Client>& client, const std::optional<std::int64_t>& last);
  void catch_up(const std::shared_ptr<Client>& client);
  bool give(Client& client, const store::DomainEvent& event) const;
  void drop(const std::shared_ptr<Client>& client);
  void check();
  void on_queue(std::move_only_function<void(Feed&)> f);

  Runtime& runtime_;
  store::State& state_;
  Serves serves_;
  std::size_t most_of_one_, most_;
  QueueId queue_;
  std::shared_ptr<Guarded<Alive>> alive_ = std::make_shared<Guarded<Alive>>();
  Guarded<std::map<std::string, std::size_t, std::less<>>> open_;  // streams of each person
  std::vector<std::shared_ptr<Client>> clients_;                   // on queue_, as all below
  StillValid still_valid_;
  bool stopped_ = false;
  Counter &opened_, &sent_, &gaps_, &ended_;
};

/// What a reader must be allowed to, to be told of this kind; nothing: it is told to nobody.
std::optional<event::Right> right_for(std::string_view kind);

}  // namespace bavn::show::web
