#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <atomic>
#include <deque>
#include <future>
#include <unordered_set>

#include "base/guarded.hpp"
#include "base/text.hpp"
#include "net/client.hpp"
#include "net/egress.hpp"
#include "net/sse.hpp"

namespace bavn::net {

namespace {

constexpr std::size_t max_reply_header = 256U << 10U;
constexpr std::size_t inbox_limit = 4U << 20U;  // bytes of events nobody took yet; then the socket is not read
constexpr long connect_seconds = 10;

/// Events of one stream on their way to the queue that asked: in order, one task at a time, bounded.
class Inbox : public std::enable_shared_from_this<Inbox> {
 public:
  Inbox(Runtime& runtime, QueueId queue, StreamEvents events)
      : runtime_(runtime), queue_(queue), events_(std::move(events)) {}

  void opened() {
    put(
        [](Inbox& in) {
          if (in.events_.on_open) in.events_.on_open();
        },
        0);
  }
  void event(SseEvent e) {
    const std::size_t size = e.data.size() + e.id.size() + e.event.size() + 64;
    put(
        [e = std::move(e)](Inbox& in) mutable {
          if (in.events_.on_event) in.events_.on_event(std::move(e));
        },
        size);
  }
  void end(Error error) {
    put(
        [error = std::move(error)](Inbox& in) mutable {
          auto f = std::move(in.events_.on_end);
          in.events_ = {};  // what the handlers hold may hold the stream: let go
          in.silent_ = true;
          if (f) f(std::move(error));
        },
        0);
  }
  /// From now on nothing is called. On the queue's thread: at once.
  void hush() { silent_ = true; }
  bool full() const {
    return waiting_.with([](const Waiting& w) { return w.bytes > inbox_limit; });
  }
  /// Called when a full inbox was emptied.
  std::move_only_function<void()> on_room;

 private:
  using Item = std::move_only_function<void(Inbox&)>;
  struct Waiting {
    std::deque<Item> items;
    std::size_t bytes = 0;
    bool scheduled = false;
  };
  void put(Item item, std::size_t bytes) {
    const bool schedule = waiting_.with([&](Waiting& w) {
      w.items.push_back(std::move(item));
      w.bytes += bytes;
      return !std::exchange(w.scheduled, true);
    });
    // A full queue must not lose what the peer believes we have: then by the timer, which knows no limit.
    if (schedule && !runtime_.post(queue_, [self = shared_from_this()] { self->empty(); }))
      runtime_.after(std::chrono::milliseconds(10), queue_, [self = shared_from_this()] { self->empty(); });
  }
  void empty() {
    for (;;) {
      std::deque<Item> items;
      const bool was_full = waiting_.with([&](Waiting& w) {
        items.swap(w.items);
        if (items.empty()) w.scheduled = false;
        return std::exchange(w.bytes, 0) > inbox_limit;
      });
      if (items.empty()) return;
      for (Item& item : items)
        if (!silent_) item(*this);
      if (was_full && on_room) on_room();
    }
  }

  Runtime& runtime_;
  const QueueId queue_;
  StreamEvents events_;
  std::atomic<bool> silent_{false};
  Guarded<Waiting> waiting_;
};

struct Job {
  ClientRequest request;
  Url url;
  QueueId queue{};
  std::move_only_function<void(Result<ClientReply>)> then;
  std::shared_ptr<Inbox> inbox;  // of a stream, else null
  std::optional<SseParser> parser;

  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  ClientReply reply;
  std::size_t header_bytes = 0;
  std::optional<Error> trouble;  // ours, better than curl's words
  bool open = false, paused = false, inside_allowed = false;
  const Runtime* clock = nullptr;  // of a stream
  Duration last_byte{0};
  std::string own_url;
  char error[CURL_ERROR_SIZE] = "";

  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() {
    if (easy) curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
};

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
  Job& job = *static_cast<Job*>(user);
  const std::string_view line = trim({data, size});
  job.header_bytes += size;
  if (job.clock) job.last_byte = job.clock->steady();
  if (job.header_bytes > max_reply_header) {
    job.trouble = Error{Code::bad_input, "the header of the reply is larger than 256 KiB", {}};
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    job.reply.headers = {};  // what came before was 1xx or a proxy's
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    job.reply.headers.add(line.substr(0, colon), std::string(trim(line.substr(colon + 1))));
  } else if (line.empty() && job.inbox) {
    long status = 0;
    curl_easy_getinfo(job.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200 && !std::exchange(job.open, true)) job.inbox->opened();
  }
  return size;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
  Job& job = *static_cast<Job*>(user);
  if (job.inbox) {
    job.last_byte = job.clock->steady();
    if (!job.open) return size;  // refused: the status says enough
    if (job.inbox->full()) {
      job.paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    auto fed = job.parser->feed({data, size}, [&](SseEvent e) { job.inbox->event(std::move(e)); });
    if (fed) return size;
    job.trouble = std::move(fed.error());
    return 0;
  }
  std::string& body = job.reply.body;
  if (body.size() + size > job.request.max_reply) {
    job.trouble = Error{Code::bad_input, fmt::format("the reply is larger than {} bytes", job.request.max_reply), {}};
    return 0;
  }
  if (body.empty()) {
    curl_off_t length = -1;
    curl_easy_getinfo(job.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0) body.reserve(std::min<std::size_t>(static_cast<std::size_t>(length), job.request.max_reply));
  }
  body.append(data, size);
  return size;
}

curl_socket_t on_socket(void* user, curlsocktype, curl_sockaddr* address) {
  Job& job = *static_cast<Job*>(user);
  const Reach reach = reach_of(address->addr);
  if (reach == Reach::metadata || (reach == Reach::inside && !job.inside_allowed)) {
    job.trouble =
        Error{Code::forbidden,
              fmt::format("{} leads to an address inside the network, which is not allowed for it", job.url.host),
              {}};
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void blob(CURL* easy, CURLoption option, const std::string& pem) {
  curl_blob b{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};  // the job keeps the identity
  curl_easy_setopt(easy, option, &b);
}

Error refused_stream(long status) {
  Code code = Code::bad_input;
  if (status == 401 || status == 403) code = Code::forbidden;
  if (status == 404) code = Code::not_found;
  if (status == 408 || status == 429 || status >= 500) code = Code::unavailable;
  return {code, fmt::format("the stream was refused with status {}", status), {}};
}

class CurlClient final : public Client, public std::enable_shared_from_this<CurlClient> {
 public:
  CurlClient(Runtime& runtime, EgressPolicy policy) : runtime_(runtime), policy_(std::move(policy)) {
    static std::once_flag once;  // libcurl's own global state
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    multi_ = curl_multi_init();
    BAVN_ASSERT(multi_);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, 128L);
  }
  ~CurlClient() override { curl_multi_cleanup(multi_); }

  void start() {
    std::promise<void> promise;
    over_ = promise.get_future();
    const QueueId queue = runtime_.queue({.name = "net-curl", .threads = 1, .limit = 1});
    if (!runtime_.post(queue, [this, promise = std::move(promise)]() mutable {
          run();
          promise.set_value();
        }))
      return;
  }
  void stop() {
    commands_.with([](Commands& c) { c.stopping = true; });
    curl_multi_wakeup(multi_);
    over_.wait();
  }

  void send(ClientRequest request, QueueId queue, std::move_only_function<void(Result<ClientReply>)> then) override {
    auto job = std::make_unique<Job>();
    job->request = std::move(request);
    job->queue = queue;
    job->then = std::move(then);
    submit(std::move(job));
  }
  std::shared_ptr<OpenStream> stream(ClientRequest request, QueueId queue, StreamEvents events) override;

  /// False: the client is stopping and the task is gone.
  bool command(Task task) {
    const bool taken = commands_.with([&](Commands& c) {
      if (c.stopping) return false;
      c.tasks.push_back(std::move(task));
      return true;
    });
    if (taken) curl_multi_wakeup(multi_);
    return taken;
  }
  void close_stream(const std::shared_ptr<Inbox>& inbox) {
    command([this, inbox] {
      for (Job* job : running_)
        if (job->inbox == inbox) return end(job, Error{Code::unavailable, "the stream was closed here", {}});
    });
  }

 private:
  struct Commands {
    std::vector<Task> tasks;
    bool stopping = false;
  };

  void submit(std::unique_ptr<Job> job) {
    auto shared = std::make_shared<std::unique_ptr<Job>>(std::move(job));
    if (!command([this, shared] { begin(std::move(*shared)); }))
      answer(**shared, fail(Code::unavailable, "the client is shutting down"));
  }

  void run() {
    for (;;) {
      bool stopping = false;
      auto tasks = commands_.with([&](Commands& c) {
        stopping = c.stopping;
        return std::exchange(c.tasks, {});
      });
      for (Task& task : tasks) task();
      if (stopping) break;
      int alive = 0;
      curl_multi_perform(multi_, &alive);
      int left = 0;
      while (CURLMsg* message = curl_multi_info_read(multi_, &left))
        if (message->msg == CURLMSG_DONE) done(message->easy_handle, message->data.result);
      curl_multi_poll(multi_, nullptr, 0, end_silent_streams(), nullptr);  // sooner when curl's own timers say so
    }
    while (!running_.empty()) end(*running_.begin(), Error{Code::unavailable, "the client is shutting down", {}});
  }

  // Milliseconds until the next could be silent for too long.
  int end_silent_streams() {
    Duration next = std::chrono::minutes(1);
    const Duration now = runtime_.steady();
    for (;;) {
      Job* silent = nullptr;
      for (Job* job : running_) {
        if (!job->inbox || job->paused) continue;
        const Duration left = job->last_byte + job->request.timeout - now;
        if (left <= Duration(0)) silent = job;
        else next = std::min(next, left);
      }
      if (!silent) return static_cast<int>(next / std::chrono::milliseconds(1)) + 1;
      end(silent,
          {Code::unavailable,
           fmt::format("{} was silent for {} seconds", silent->url.host_and_port(), silent->request.timeout.count()),
           {}});
    }
  }

  void begin(std::unique_ptr<Job> job) {
    if (auto ready = prepare(*job); !ready) return answer(*job, std::unexpected(std::move(ready.error())));
    curl_multi_add_handle(multi_, job->easy);
    running_.insert(job.release());
  }
  Result<void> prepare(Job& job);
  void done(CURL* easy, CURLcode code);
  // Takes the job out and tells its owner.
  void end(Job* job, Error error) {
    const std::unique_ptr<Job> owned(job);
    running_.erase(job);
    curl_multi_remove_handle(multi_, job->easy);
    answer(*job, std::unexpected(std::move(error)));
  }
  void answer(Job& job, Result<ClientReply> result) {
    if (job.inbox) return job.inbox->end(std::move(result.error()));
    auto both = std::make_shared<std::pair<std::move_only_function<void(Result<ClientReply>)>, Result<ClientReply>>>(
        std::move(job.then), std::move(result));
    const auto task = [both] { both->first(std::move(both->second)); };
    if (!runtime_.post(job.queue, task)) runtime_.after(std::chrono::milliseconds(10), job.queue, task);
  }

  Runtime& runtime_;
  const EgressPolicy policy_;
  CURLM* multi_ = nullptr;
  Guarded<Commands> commands_;
  std::future<void> over_;
  std::unordered_set<Job*> running_;  // only in run()
};

Result<void> CurlClient::prepare(Job& job) {
  ClientRequest& request = job.request;
  BAVN_TRY(job.url, parse_url(request.url));
  BAVN_CHECK(permitted(policy_, job.url));
  job.inside_allowed = !policy_.proxy.empty() || may_be_inside(policy_, job.url);
  job.easy = curl_easy_init();
  if (!job.easy) return fail(Code::unavailable, "no memory for a request");
  CURL* easy = job.easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &job);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job.error);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // What was checked is what is asked: our reading of the URL, not a second one.
  job.own_url = fmt::format("{}://{}{}", job.url.tls ? "https" : "http", job.url.host_and_port(), job.url.target);
  curl_easy_setopt(easy, CURLOPT_URL, job.own_url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, policy_.proxy.c_str());  // "": none, whatever the environment says
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &job);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &job);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &job);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  const long seconds = static_cast<long>(std::max<std::int64_t>(request.timeout.count(), 1));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, std::min(seconds, connect_seconds));
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, job.inbox ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS);
  if (job.inbox) {
    job.parser.emplace(request.max_reply);
    job.last_byte = runtime_.steady();  // silence is watched in run(): three bytes of heartbeat are no speed to curl
    job.clock = &runtime_;
    if (!request.headers.find("Accept")) request.headers.set("Accept", "text/event-stream");
  } else {
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, seconds);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L << 10);
    // A part of an encoded body is nothing.
    if (!request.headers.find("Range") && !request.headers.find("Accept-Encoding"))
      curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  }
  const bool takes_body =
      request.method == Method::post || request.method == Method::put || request.method == Method::patch;
  if (request.method == Method::head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (takes_body || !request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());  // not copied
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    if (request.body.size() > (64U << 10U)) curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
  }
  if (request.method != Method::head && request.method != Method::post &&
      (request.method != Method::get || !request.body.empty()))
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, std::string(to_string(request.method)).c_str());
  const auto add_header = [&](const std::string& line) { job.headers = curl_slist_append(job.headers, line.c_str()); };
  if (!request.headers.find("Content-Type")) add_header("Content-Type:");  // curl would claim a form
  for (const auto& [name, value] : request.headers.all()) {
    if (name.empty() || (name + value).find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return fail(Code::bad_input, "a header of the request contains a line break");
    add_header(value.empty() ? name + ";" : name + ": " + value);
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job.headers);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (const TlsIdentity* tls = request.tls.get()) {
    if (!tls->certificate_pem.empty()) {
      blob(easy, CURLOPT_SSLCERT_BLOB, tls->certificate_pem);
      blob(easy, CURLOPT_SSLKEY_BLOB, tls->key_pem);
    }
    if (!tls->ca_pem.empty()) {
      blob(easy, CURLOPT_CAINFO_BLOB, tls->ca_pem);
      curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);  // only this one, not the system's too
    }
    if (tls->unverified) {
      curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
      curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
  }
  if (job.inbox)
    job.inbox->on_room = [weak = weak_from_this(), which = std::weak_ptr(job.inbox)] {
      if (const auto self = weak.lock())
        self->command([client = self.get(), inbox = which.lock()] {
          for (Job* one : client->running_)
            if (one->inbox == inbox && std::exchange(one->paused, false)) {
              one->last_byte = client->runtime_.steady();
              return static_cast<void>(curl_easy_pause(one->easy, CURLPAUSE_CONT));
            }
        });
    };
  return {};
}

void CurlClient::done(CURL* easy, CURLcode code) {
  Job* job = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
  const std::unique_ptr<Job> owned(job);
  running_.erase(job);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(multi_, easy);
  if (code == CURLE_OK) {
    if (job->inbox)
      return answer(*job, std::unexpected(job->open ? Error{Code::unavailable, "the other end closed the stream", {}}
                                                    : refused_stream(status)));
    job->reply.status = static_cast<int>(status);
    return answer(*job, std::move(job->reply));
  }
  if (job->trouble) return answer(*job, std::unexpected(std::move(*job->trouble)));
  const std::string_view words = job->error[0] ? job->error : curl_easy_strerror(code);
  Code ours = Code::unavailable;
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: ours = Code::forbidden; break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      // With TLS 1.3 the server's verdict on our certificate comes after the handshake.
      if (words.find(" alert ") != std::string_view::npos) ours = Code::forbidden;
      break;
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: ours = Code::bad_input; break;
    default: break;
  }
  answer(*job, fail(ours, fmt::format("{}: {}", job->url.host_and_port(), words)));
}

class CurlStream final : public OpenStream {
 public:
  CurlStream(std::weak_ptr<CurlClient> client, std::shared_ptr<Inbox> inbox)
      : client_(std::move(client)), inbox_(std::move(inbox)) {}
  ~CurlStream() override {
    inbox_->hush();
    close();
  }
  void close() override {
    if (const auto client = client_.lock()) client->close_stream(inbox_);
  }

 private:
  std::weak_ptr<CurlClient> client_;
  std::shared_ptr<Inbox> inbox_;
};

std::shared_ptr<OpenStream> CurlClient::stream(ClientRequest request, QueueId queue, StreamEvents events) {
  auto job = std::make_unique<Job>();
  job->request = std::move(request);
  job->request.method = Method::get;
  job->queue = queue;
  job->inbox = std::make_shared<Inbox>(runtime_, queue, std::move(events));
  auto handle = std::make_shared<CurlStream>(weak_from_this(), job->inbox);
  submit(std::move(job));
  return handle;
}

/// Stops the thread before anything else goes: streams hold weak pointers to what is inside.
class CurlClientOwner final : public Client {
 public:
  explicit CurlClientOwner(std::shared_ptr<CurlClient> inner) : inner_(std::move(inner)) { inner_->start(); }
  ~CurlClientOwner() override { inner_->stop(); }
  void send(ClientRequest request, QueueId queue, std::move_only_function<void(Result<ClientReply>)> then) override {
    inner_->send(std::move(request), queue, std::move(then));
  }
  std::shared_ptr<OpenStream> stream(ClientRequest request, QueueId queue, StreamEvents events) override {
    return inner_->stream(std::move(request), queue, std::move(events));
  }

 private:
  std::shared_ptr<CurlClient> inner_;
};

}  // namespace

std::unique_ptr<Client> curl_client(Runtime& runtime, EgressPolicy policy) {
  return std::make_unique<CurlClientOwner>(std::make_shared<CurlClient>(runtime, std::move(policy)));
}

}  // namespace bavn::net
