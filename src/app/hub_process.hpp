#pragma once
// A hub with its sockets: HubCore behind a TLS server for nodes and a control interface on loopback, with its guests when it runs them.
// Life: after Runtime; close() or the destructor ends everything in order. Thread rules: one thread.
#include <memory>
#include <string>
#include <vector>

#include "app/control.hpp"
#include "app/folder.hpp"
#include "app/guests.hpp"
#include "app/hub_core.hpp"
#include "app/web_people.hpp"
#include "base/settings.hpp"
#include "jail/jail.hpp"
#include "net/client.hpp"
#include "net/server.hpp"
#include "show/web/site.hpp"

namespace bavn::app {

std::vector<Setting> hub_settings();

struct HubBirth {
  std::string name;  // of the CERT
  std::vector<std::string>
      hosts;  // names and addresses under which nodes reach it; the first goes into enrolment codes
  std::string address = "0.0.0.0";
  std::uint16_t port = 8443;
};

class HubProcess {
 public:
  /// Makes the folder with keys, tables and settings. Returns where the root key lies. conflict: there is a hub.
  static Result<std::string> init(Runtime& runtime, const std::string& folder, const HubBirth& birth);
  /// guests: run them in this process's care.
  static Result<std::unique_ptr<HubProcess>> open(Runtime& runtime, Metrics& metrics, const std::string& folder,
                                                  bool guests, std::vector<std::string> try_commands);
  ~HubProcess();
  HubCore& core() { return *core_; }
  Guests* guests() { return guests_.get(); }
  show::web::Site* site() { return site_.get(); }  // null: no web port is set
  WebPeople* people() { return people_.get(); }    // null: no web port is set
  /// Opens the web address for the first person; empty: somebody administers already.
  const std::string& first_link() const { return first_link_; }
  std::string status_link() const;    // opens the status page with its key
  std::string nodes_address() const;  // host:port for enrolment codes
  void alive() { folder_.touch_alive(); }

 private:
  HubProcess(Runtime& runtime, std::string folder) : runtime_(runtime), folder_(std::move(folder)) {}
  Result<void> listen(const Settings& settings);
  Result<void> open_site(Metrics& metrics, const Settings& settings);
  void check_certificate();

  Runtime& runtime_;
  Folder folder_;
  std::unique_ptr<Folder::Held> held_;
  std::string public_;
  std::vector<Setting> table_;
  std::unique_ptr<Settings> settings_;
  std::unique_ptr<net::Client> client_, peer_client_;
  std::unique_ptr<jail::Jail> parsers_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<Guests> guests_;
  std::unique_ptr<HubCore> core_;
  std::unique_ptr<show::web::Site> site_;
  std::unique_ptr<WebPeople> people_;
  std::string first_link_;
  std::unique_ptr<net::Server> nodes_server_, control_server_;
  QueueId upkeep_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace bavn::app
