#pragma once
// The control interface: HTTP on this machine's loopback for the owner of a data folder. Its key is made at each start, lies in
// run/control (0600), and comes back as a bearer token (command line) or, for reading only, in a cookie that one link sets (browser).
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/folder.hpp"
#include "app/status_page.hpp"
#include "base/runtime.hpp"
#include "event/scope.hpp"
#include "net/server.hpp"

namespace bavn::app {

/// Who else may come through this door: not_found lets the next one look.
using OtherDoor = std::function<Result<event::Scope>(const net::Request&)>;

class Control {
 public:
  explicit Control(std::string key) : key_(std::move(key)) {}
  const std::string& key() const { return key_; }
  /// Bearer key: everything. Cookie: reading.
  Result<event::Scope> authenticate(const net::Request& request, const OtherDoor& other = {}) const;
  /// The owner's key, from this machine only: on the web address, where others come in too. Whoever else asks is forbidden.
  Result<event::Scope> owner_here(const net::Request& request) const;
  /// GET /, /status.json, /status.css, /status.js; GET /open?key=... sets the cookie.
  void add_pages(net::Router& router, std::function<Result<StatusView>(const event::Scope&)> view) const;

 private:
  std::string key_;
};

}  // namespace bavn::app
