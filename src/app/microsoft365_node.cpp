#include "app/microsoft365_node.hpp"

#include "app/purge_node.hpp"
#include "base/files.hpp"
#include "beacon/left_us.hpp"
#include "input/sources/microsoft365/microsoft365.hpp"

namespace bavn::app {

namespace m365 = input::microsoft365;

struct Microsoft365Node::Inner {
  explicit Inner(store::State& state) : left(state) {}
  beacon::LeftUs left;
  std::unique_ptr<net::Client> client;
  std::vector<std::unique_ptr<m365::Microsoft365>> tenants;  // before the client
  std::vector<GraphTenant> graph;
};

Microsoft365Node::Microsoft365Node(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Microsoft365Node::~Microsoft365Node() {
  for (auto& tenant : inner_->tenants) tenant->stop_and_wait();
  inner_->tenants.clear();
}
std::size_t Microsoft365Node::tenants() const {
  return inner_->tenants.size();
}

act::Ask Microsoft365Node::graph() const {
  return graph_ask(inner_->graph);
}

std::vector<std::string> Microsoft365Node::domains() const {
  std::vector<std::string> out;
  for (const auto& t : inner_->graph) out.insert(out.end(), t.domains.begin(), t.domains.end());
  return out;
}

Result<std::unique_ptr<Microsoft365Node>> Microsoft365Node::open(Runtime& runtime, net::Client& client,
                                                                 store::State& state, input::Sink& sink,
                                                                 input::SourceBook& book, const std::string& folder) {
  DiskFiles files;
  BAVN_TRY(auto accounts, m365::stored_accounts(state, files, folder));
  auto inner = std::make_unique<Inner>(state);
  inner->client = inner->left.recording(client, "microsoft365");
  for (auto& account : accounts) {
    const auto queue = runtime.queue({.name = "m365", .limit = 100'000});
    const auto domains = account.domains;
    inner->tenants.push_back(
        std::make_unique<m365::Microsoft365>(runtime, *inner->client, queue, sink, book, state, std::move(account)));
    inner->tenants.back()->start();
    inner->graph.push_back({inner->tenants.back()->shared_access(), domains});
  }
  return std::unique_ptr<Microsoft365Node>(new Microsoft365Node(std::move(inner)));
}

}  // namespace bavn::app
