#pragma once
// For tests only: a hub as it is in virtual time, its routes, and somebody who asks them. Thread rules: the test's thread.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "app/hub_core.hpp"
#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"
#include "net/sim.hpp"

namespace bavn::app::testing {

/// Options of a hub in this folder with its keys made and its state in memory.
inline HubOptions hub_options(Sim& sim, const std::string& folder) {
  HubOptions options;
  options.folder = folder;
  options.name = "Test CERT";
  options.address = "hub.example:443";
  options.state_path = ":memory:";
  EXPECT_TRUE(sim.files().make_dirs(options.folder));
  const auto made = tenants::Trust::init(sim, options.folder + "/trust", {"hub.example"});
  EXPECT_TRUE(made) << to_string(made.error());
  return options;
}

class HubRoutes : public ::testing::Test {
 protected:
  explicit HubRoutes(Instant start = *parse_time("2024-10-01T08:00:00Z")) : sim(7, start) {}
  /// What a test wants otherwise.
  virtual void change(HubOptions&) {}
  void SetUp() override {
    HubOptions options = hub_options(sim, folder.path());
    change(options);
    auto opened = HubCore::open(sim, metrics, options);
    ASSERT_TRUE(opened) << to_string(opened.error());
    hub = std::move(*opened);
    hub->add_web_routes(web);
    web.authenticate([this](const net::Request&) -> Result<event::Scope> { return asking; });
    hub->start();
    sim.advance(std::chrono::seconds{1});
  }
  void TearDown() override {
    if (hub) hub->stop();
    hub.reset();  // before what a test gave it to use
  }

  net::Reply ask(net::Method method, const std::string& path, std::string body = {}, const std::string& if_match = {},
                 const std::string& key = {}) {
    auto request = net::request_for(method, path).value();
    request.body = std::move(body);
    if (!if_match.empty()) request.headers.set("If-Match", if_match);
    if (!key.empty()) request.headers.set("Authorization", key);
    std::optional<net::Reply> got;
    web.handle(std::move(request), [&](net::Reply r) { got = std::move(r); });
    return got ? std::move(*got) : net::Reply{.status = 0};
  }
  net::JsonDocument json(const net::Reply& reply, int status = 200) {
    EXPECT_EQ(reply.status, status) << reply.body;
    auto read = net::JsonDocument::parse(reply.body);
    EXPECT_TRUE(read) << reply.body;
    return std::move(*read);
  }
  net::JsonDocument get(const std::string& path) { return json(ask(net::Method::get, path)); }

  log::Capture quiet;
  TempFolder folder;
  Sim sim;
  Metrics metrics;
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.1"});
  std::unique_ptr<HubCore> hub;
  net::Router web;
  event::Scope asking = event::Scope::local_owner();
};

}  // namespace bavn::app::testing
