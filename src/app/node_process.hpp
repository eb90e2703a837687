#pragma once
// A node with its sockets: NodeCore, its enrolment, the control interface on loopback, the HTTP intake, and its sources.
// Life: after Runtime; the destructor ends everything in order. Thread rules: one thread.
#include <memory>
#include <string>
#include <vector>

#include "app/control.hpp"
#include "app/folder.hpp"
#include "app/microsoft365_node.hpp"
#include "app/node_core.hpp"
#include "app/setup_desk.hpp"
#include "app/web_people.hpp"
#include "base/settings.hpp"
#include "input/running.hpp"
#include "input/settings.hpp"
#include "input/sources/stdin/stdin.hpp"
#include "jail/jail.hpp"
#include "net/json_value.hpp"
#include "net/server.hpp"
#include "show/pages/reports.hpp"
#include "show/web/site.hpp"
#include "tenants/enrolment.hpp"

namespace bavn::app {

struct NodeRun {
  std::string folder;
  bool guest = false;
  std::vector<std::string> shared_bases;
  std::vector<std::string> rules;
  std::vector<std::string> try_commands;
};

class NodeProcess {
 public:
  static Result<std::unique_ptr<NodeProcess>> open(Runtime& runtime, Metrics& metrics, const NodeRun& run);
  ~NodeProcess();
  NodeCore& core() { return *core_; }
  tenants::Enrolment& enrolment() { return *enrolment_; }
  std::string status_link() const;
  show::web::Site* site() { return site_.get(); }  // null: no web port is set
  WebPeople* people() { return people_.get(); }    // null: no web port is set
  /// Opens the web address for the first person; empty: somebody administers already.
  const std::string& first_link() const { return first_link_; }
  void alive() { folder_.touch_alive(); }
  /// Standard input as one more source. done(totals): its end was reached and all of it is on disk.
  void read_stdin(const std::string& name, const std::string& format,
                  std::move_only_function<void(Result<input::sources::stdin_stream::StreamTotals>)> done);

 private:
  NodeProcess(Runtime& runtime, std::string folder) : runtime_(runtime), folder_(std::move(folder)) {}
  Result<void> listen();
  void open_setup();
  Result<void> open_site(Metrics& metrics);
  Result<void> start_sources(bool guest);

  Runtime& runtime_;
  Folder folder_;
  std::unique_ptr<Folder::Held> held_;
  std::vector<Setting> table_;
  std::unique_ptr<Settings> settings_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<net::Client> client_;
  std::unique_ptr<tenants::Enrolment> enrolment_;
  std::unique_ptr<notify::MailCarrier> mail_;
  std::unique_ptr<NodeCore> core_;
  std::unique_ptr<net::Client> setup_client_;  // what the setup sends stands in What left us, too
  std::unique_ptr<SetupDesk> setup_;
  std::unique_ptr<input::Book> book_;
  std::unique_ptr<Microsoft365Node> microsoft365_;
  std::unique_ptr<jail::Jail> parsers_;
  std::unique_ptr<input::RunningSources> sources_;
  std::unique_ptr<input::sources::stdin_stream::StreamSource> stream_;
  std::unique_ptr<net::Server> control_server_, intake_server_;
  net::Router intake_;
  std::unique_ptr<show::pages::ReportDesk> reports_;
  std::unique_ptr<show::web::Site> site_;
  std::unique_ptr<WebPeople> people_;
  std::string first_link_;
};

/// Becomes a node with a code: makes the folder, waits for the hub's answer. Returns the node's name and municipalities, for people.
Result<std::string> enrol(Runtime& runtime, const std::string& folder, const std::string& code,
                          const std::string& machine);
/// Puts an enrolment aside (keys/enrolment.json.before), so that another code can be used. not_found: there is none. conflict: the node runs.
Result<void> forget_enrolment(const std::string& folder);
/// The way out of a node: it may dial its hub wherever that is, and what its settings allow.
std::unique_ptr<net::Client> node_client(Runtime& runtime, const std::string& folder);

}  // namespace bavn::app
