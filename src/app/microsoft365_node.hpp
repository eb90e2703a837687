#pragma once
// The Microsoft 365 tenants of a running node: what the setup stored, as sources. Everything they send is noted in "What left us".
// Life: after Runtime, Client, State, Sink and SourceBook, gone before them. Thread rules: one thread.
#include <memory>
#include <string>
#include <vector>

#include "act/purge.hpp"
#include "base/runtime.hpp"
#include "input/sink.hpp"
#include "net/client.hpp"
#include "store/state.hpp"

namespace bavn::app {

class Microsoft365Node {
 public:
  /// Nothing is stored: nothing is started, and that is fine.
  static Result<std::unique_ptr<Microsoft365Node>> open(Runtime& runtime, net::Client& client, store::State& state,
                                                        input::Sink& sink, input::SourceBook& book,
                                                        const std::string& folder);
  ~Microsoft365Node();
  std::size_t tenants() const;
  /// How purge reaches the mailboxes of these tenants. It may outlive this; then it says that nothing is connected.
  act::Ask graph() const;
  std::vector<std::string> domains() const;  // mail domains of the tenants, as the setup stored them

 private:
  struct Inner;
  explicit Microsoft365Node(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::app
