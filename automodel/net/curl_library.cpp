#include "automodel/net/curl_library.h"

#include <dlfcn.h>

#include "automodel/base/error.h"

namespace automodel::net {

template <class Function>
static void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (!function)
    throw SystemError("libcurl", fmt::format("has no function {}", name), "install libcurl4 7.85 or later");
}

static CurlLibrary load() {
  void* library = nullptr;
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"})
    if (!library) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw SystemError("libcurl.so.4", "is not on this machine, and the Hub cannot be reached without it",
                      "install it (Debian, Ubuntu: apt-get install libcurl4 ca-certificates), or give a local folder");
  CURLcode (*global_init)(long) = nullptr;
  find(library, "curl_global_init", global_init);
  CurlLibrary curl;
  find(library, "curl_easy_init", curl.easy_init);
  find(library, "curl_easy_cleanup", curl.easy_cleanup);
  find(library, "curl_easy_reset", curl.easy_reset);
  find(library, "curl_easy_setopt", curl.easy_setopt);
  find(library, "curl_easy_perform", curl.easy_perform);
  find(library, "curl_easy_getinfo", curl.easy_getinfo);
  find(library, "curl_easy_strerror", curl.easy_strerror);
  find(library, "curl_slist_append", curl.slist_append);
  find(library, "curl_slist_free_all", curl.slist_free_all);
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw SystemError("libcurl", "cannot be started");
  return curl;
}

const CurlLibrary& curl_library() {
  static const CurlLibrary curl = load();
  return curl;
}

}  // namespace automodel::net
