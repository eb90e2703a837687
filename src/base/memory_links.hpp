#pragma once
// Links inside one process, over any Runtime. Sim gives them weather; under Threads they are always fair.
// Thread rules: any thread. Life: dies after the last Link it made is closed or unused.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "base/runtime.hpp"

namespace bavn {

/// What may happen to each message. Chances are 0..1.
struct Weather {
  Duration min_delay{0}, max_delay{0};
  double cut = 0;        // the link is cut instead; this message and those in flight are lost
  double duplicate = 0;  // the message arrives twice, as after a lost acknowledgement
  // With a cut only this message and later ones are lost. Without, whoever is sent many at once gets either all or none: a long list never comes
  // through, however often it is tried.
  bool earlier_arrive = false;
};

class MemoryLinks : public Links {
 public:
  explicit MemoryLinks(Runtime& runtime);
  ~MemoryLinks() override;
  Result<void> listen(std::string address, QueueId queue, OnLink on_link) override;
  void unlisten(std::string_view address) override;
  Result<std::shared_ptr<Link>> connect(std::string_view address, QueueId queue, LinkEvents events) override;

  void set_weather(Weather weather);
  /// Every link to this address is cut now; new ones are refused until reachable again.
  void set_reachable(const std::string& address, bool reachable);

 private:
  struct Connection;
  class End;
  struct Listener {
    QueueId queue;
    std::shared_ptr<OnLink> on_link;
    bool reachable = true;
    std::vector<std::weak_ptr<Connection>> connections;
  };
  static void cut(Runtime& runtime, const std::shared_ptr<Connection>& connection);

  Runtime& runtime_;
  std::shared_ptr<Guarded<Weather>> weather_;
  Guarded<std::map<std::string, Listener, std::less<>>> listeners_;
  Guarded<std::vector<std::weak_ptr<Connection>>> orphans_;  // of listeners that are gone; some may not know yet
};

}  // namespace bavn
