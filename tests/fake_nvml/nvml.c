/* A stand-in for libnvidia-ml.so.1 that answers from a script, so that tests go through the real
 * pynvml. The script is the file named by VLLMD_FAKE_NVML, read again whenever it has changed:
 *
 *   init = 0                       what nvmlInit returns
 *   driver = 580.159.04
 *   gpu.0.uuid = GPU-…             GPUs are numbered from 0 without a gap
 *   gpu.0.memory = TOTAL RESERVED FREE USED
 *   gpu.0.power = 688131           one number, or several, as the function has results
 *   gpu.0.power = !15              fails with NVML's error 15
 *   gpu.0.processes = PID:BYTES PID:-      "-" for a figure that is not available
 *   gpu.0.field.83 = 3 9585868     type and value of a field
 *   gpu.0.mig.1.uuid = MIG-…       instances; their keys are as those of a GPU
 *   gpu.0.lost = 1                 every question about it fails with "GPU is lost"
 *   gpu.0.denied = 1               it is counted, and its handle cannot be had
 *   event = 7 0 79                 a new first number is a new event: GPU 0, Xid 79
 *   hang.nvmlDeviceGetPowerUsage = 1       that function never returns
 *   gpu.0.fault.power = abort      asking for that key ends the process; segfault, too; corrupt writes beyond its
 *                                  memory, so that a later call ends it (with stir: the next); hang never returns.
 *                                  Who hangs writes its process id into SCRIPT.hangs
 *   stir = 1                       each function allocates memory
 *
 * What the script does not name is not supported. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef int ret;
typedef struct device { int gpu, instance; } *device;

enum { OK = 0, BAD_ARGUMENT = 2, UNSUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, TIMEOUT = 10, LOST = 15 };
#define NOT_AVAILABLE (~0ULL)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *text;
static struct timespec read_at;
static struct device devices[64 * 17];

static void reload(void) {
  const char *path = getenv("VLLMD_FAKE_NVML");
  struct stat about;
  if (!path || stat(path, &about)) return;
  if (text && about.st_mtim.tv_sec == read_at.tv_sec && about.st_mtim.tv_nsec == read_at.tv_nsec) return;
  FILE *file = fopen(path, "r");
  if (!file) return;
  char *fresh = malloc(about.st_size + 2);
  size_t size = fread(fresh + 1, 1, about.st_size, file);
  fresh[0] = '\n';
  fresh[size + 1] = 0;
  fclose(file);
  free(text);
  text = fresh;
  read_at = about.st_mtim;
}

/* Copy the value of a key; tell whether there is one. */
static int find(const char *key, char *value, size_t size) {
  char wanted[256];
  int found = 0;
  snprintf(wanted, sizeof wanted, "\n%s = ", key);
  pthread_mutex_lock(&lock);
  reload();
  char *at = text ? strstr(text, wanted) : NULL;
  if (at) {
    at += strlen(wanted);
    size_t length = strcspn(at, "\n");
    if (length >= size) length = size - 1;
    memcpy(value, at, length);
    value[length] = 0;
    found = 1;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

/* Write over what the allocator keeps behind the last of its memory. */
static void corrupt(void) {
  volatile char *last = NULL;
  for (int i = 0; i < 256; i++) last = malloc(70000);
  for (int i = 70000 - 64; i < 70000 + 192; i++) last[i] = 0x55;
}

/* Say who hangs in SCRIPT.hangs, and never return. */
static void hang(void) {
  char path[512];
  snprintf(path, sizeof path, "%s.hangs", getenv("VLLMD_FAKE_NVML"));
  FILE *file = fopen(path, "w");
  if (file) {
    fprintf(file, "%d", getpid());
    fclose(file);
  }
  for (;;) sleep(3600);
}

static void fault(const char *kind) {
  if (!strcmp(kind, "abort")) abort();
  if (!strcmp(kind, "segfault")) *(volatile int *)8 = 1;
  if (!strcmp(kind, "corrupt")) corrupt();
  if (!strcmp(kind, "hang")) hang();
}

static void stir(void) {
  char value[8];
  if (!find("stir", value, sizeof value)) return;
  char *volatile some = malloc(70000);
  free(some);
}

static void maybe_hang(const char *function) {
  char key[128], value[8];
  stir();
  snprintf(key, sizeof key, "hang.%s", function);
  if (find(key, value, sizeof value)) hang();
}

static ret ask_system(const char *key, char *value, size_t size) {
  if (!find(key, value, size)) return UNSUPPORTED;
  return value[0] == '!' ? atoi(value + 1) : OK;
}

static ret ask(device d, const char *key, char *value, size_t size) {
  char whole[128], gone[64];
  if (!d) return BAD_ARGUMENT;
  snprintf(whole, sizeof whole, "gpu.%d.lost", d->gpu);
  if (find(whole, gone, sizeof gone)) return LOST;
  snprintf(whole, sizeof whole, "gpu.%d.fault.%s", d->gpu, key);
  if (find(whole, gone, sizeof gone)) fault(gone);
  if (d->instance < 0) snprintf(whole, sizeof whole, "gpu.%d.%s", d->gpu, key);
  else snprintf(whole, sizeof whole, "gpu.%d.mig.%d.%s", d->gpu, d->instance, key);
  return ask_system(whole, value, size);
}

static ret numbers(device d, const char *key, u64 *out, int count) {
  char value[256];
  ret code = ask(d, key, value, sizeof value);
  if (code) return code;
  char *at = value;
  for (int i = 0; i < count; i++) out[i] = strtoull(at, &at, 10);
  return OK;
}

static ret number(device d, const char *key, u32 *out) {
  u64 value;
  ret code = numbers(d, key, &value, 1);
  if (!code) *out = (u32)value;
  return code;
}

static ret words(device d, const char *key, char *out, u32 length) {
  return ask(d, key, out, length);
}

#define ENTER maybe_hang(__func__)

/* --- the system --------------------------------------------------------------------------- */

ret nvmlInitWithFlags(u32 flags) {
  (void)flags;
  ENTER;
  char value[16];
  return find("init", value, sizeof value) ? atoi(value) : OK;
}
ret nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
ret nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(ret code) {
  static char text[64];
  const char *known[] = {"Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions"};
  if (code >= 0 && code < 5) return known[code];
  if (code == 9) return "Driver Not Loaded";
  if (code == LOST) return "GPU is lost";
  if (code == 18) return "Driver/library version mismatch";
  snprintf(text, sizeof text, "Error %d", code);
  return text;
}

ret nvmlSystemGetDriverVersion(char *out, u32 length) { ENTER; return ask_system("driver", out, length); }
ret nvmlSystemGetNVMLVersion(char *out, u32 length) { ENTER; return ask_system("nvml", out, length); }
ret nvmlSystemGetCudaDriverVersion_v2(int *out) {
  char value[32];
  ret code = ask_system("cuda", value, sizeof value);
  if (!code) *out = atoi(value);
  return code;
}
ret nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }

/* --- devices ------------------------------------------------------------------------------ */

static device handle(int gpu, int instance) {
  device d = &devices[gpu * 17 + instance + 1];
  d->gpu = gpu;
  d->instance = instance;
  return d;
}

ret nvmlDeviceGetCount_v2(u32 *out) {
  ENTER;
  char key[64], value[128];
  for (*out = 0; *out < 64; ++*out) {
    snprintf(key, sizeof key, "gpu.%u.uuid", *out);
    if (!find(key, value, sizeof value)) break;
  }
  return OK;
}

ret nvmlDeviceGetHandleByIndex_v2(u32 index, device *out) {
  ENTER;
  u32 count;
  char uuid[128];
  nvmlDeviceGetCount_v2(&count);
  if (index >= count) return BAD_ARGUMENT;
  snprintf(uuid, sizeof uuid, "gpu.%u.denied", index);
  if (find(uuid, uuid, sizeof uuid)) return NO_PERMISSION;
  *out = handle(index, -1);
  return ask(*out, "uuid", uuid, sizeof uuid);
}

ret nvmlDeviceGetHandleByUUID(const char *uuid, device *out) {
  u32 count;
  char value[128];
  nvmlDeviceGetCount_v2(&count);
  for (u32 i = 0; i < count; i++) {
    device d = handle(i, -1);
    if (!ask(d, "uuid", value, sizeof value) && !strcmp(value, uuid)) { *out = d; return OK; }
  }
  return NOT_FOUND;
}

ret nvmlDeviceGetUUID(device d, char *out, u32 length) { ENTER; return words(d, "uuid", out, length); }
ret nvmlDeviceGetName(device d, char *out, u32 length) { ENTER; return words(d, "name", out, length); }
ret nvmlDeviceGetSerial(device d, char *out, u32 length) { return words(d, "serial", out, length); }
ret nvmlDeviceGetVbiosVersion(device d, char *out, u32 length) { return words(d, "vbios", out, length); }
ret nvmlDeviceGetIndex(device d, u32 *out) { *out = d->gpu; return OK; }

struct pci { char legacy[16]; u32 domain, bus, device, id, subsystem; char bus_id[32]; };
ret nvmlDeviceGetPciInfo_v3(device d, struct pci *out) {
  ENTER;
  memset(out, 0, sizeof *out);
  ret code = words(d, "pci", out->bus_id, sizeof out->bus_id);
  if (code) return code;
  u32 rest = 0;
  sscanf(out->bus_id, "%x:%x:%x.%x", &out->domain, &out->bus, &out->device, &rest);
  snprintf(out->legacy, sizeof out->legacy, "%04x:%02x:%02x.0", out->domain & 0xffff, out->bus & 0xff,
           out->device & 0xff);
  u64 ids[2];
  if (!numbers(d, "pci_ids", ids, 2)) { out->id = ids[0]; out->subsystem = ids[1]; }
  return OK;
}

struct memory { u64 total, free, used; };
struct memory_v2 { u32 version; u64 total, reserved, free, used; };
ret nvmlDeviceGetMemoryInfo_v2(device d, struct memory_v2 *out) {
  ENTER;
  u64 v[4];
  ret code = numbers(d, "memory", v, 4);
  if (!code) { out->total = v[0]; out->reserved = v[1]; out->free = v[2]; out->used = v[3]; }
  return code;
}
ret nvmlDeviceGetMemoryInfo(device d, struct memory *out) {
  ENTER;
  u64 v[4];
  ret code = numbers(d, "memory", v, 4);
  if (!code) { out->total = v[0]; out->free = v[2]; out->used = v[3] + v[1]; }
  return code;
}

struct utilization { u32 gpu, memory; };
ret nvmlDeviceGetUtilizationRates(device d, struct utilization *out) {
  ENTER;
  u64 v[2];
  ret code = numbers(d, "utilization", v, 2);
  if (!code) { out->gpu = v[0]; out->memory = v[1]; }
  return code;
}

#define NUMBER(function, key) ret function(device d, u32 *out) { ENTER; return number(d, key, out); }
NUMBER(nvmlDeviceGetPowerUsage, "power")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
NUMBER(nvmlDeviceGetPowerManagementLimit, "power_management_limit")
NUMBER(nvmlDeviceGetPcieReplayCounter, "pcie_replays")
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_max")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetMaxMigDeviceCount, "mig_max")
NUMBER(nvmlDeviceGetGpuInstanceId, "gpu_instance")
NUMBER(nvmlDeviceGetComputeInstanceId, "compute_instance")
NUMBER(nvmlDeviceGetMinorNumber, "minor")
NUMBER(nvmlDeviceGetPersistenceMode, "persistence")
NUMBER(nvmlDeviceGetPerformanceState, "pstate")
NUMBER(nvmlDeviceGetComputeMode, "compute_mode")
NUMBER(nvmlDeviceGetArchitecture, "architecture")
NUMBER(nvmlDeviceGetFanSpeed, "fan")

ret nvmlDeviceGetTemperature(device d, u32 sensor, u32 *out) {
  ENTER;
  return sensor ? BAD_ARGUMENT : number(d, "temperature", out);
}

static ret clock_of(device d, const char *what, u32 type, u32 *out) {
  char key[32];
  snprintf(key, sizeof key, "%s.%u", what, type);
  return number(d, key, out);
}
ret nvmlDeviceGetClockInfo(device d, u32 type, u32 *out) { ENTER; return clock_of(d, "clock", type, out); }
ret nvmlDeviceGetMaxClockInfo(device d, u32 type, u32 *out) { ENTER; return clock_of(d, "clock_max", type, out); }

#define WIDE(function, key) ret function(device d, u64 *out) { ENTER; return numbers(d, key, out, 1); }
WIDE(nvmlDeviceGetCurrentClocksEventReasons, "reasons")
WIDE(nvmlDeviceGetCurrentClocksThrottleReasons, "reasons")
WIDE(nvmlDeviceGetSupportedClocksEventReasons, "reasons_supported")
WIDE(nvmlDeviceGetTotalEnergyConsumption, "energy")
WIDE(nvmlDeviceGetSupportedEventTypes, "event_types")

ret nvmlDeviceGetTotalEccErrors(device d, u32 error, u32 counter, u64 *out) {
  ENTER;
  char key[32];
  snprintf(key, sizeof key, "ecc.%u.%u", error, counter);
  return numbers(d, key, out, 1);
}

ret nvmlDeviceGetRemappedRows(device d, u32 *corrected, u32 *uncorrected, u32 *pending, u32 *failed) {
  ENTER;
  u64 v[4];
  ret code = numbers(d, "remapped", v, 4);
  if (!code) { *corrected = v[0]; *uncorrected = v[1]; *pending = v[2]; *failed = v[3]; }
  return code;
}

ret nvmlDeviceGetMigMode(device d, u32 *current, u32 *pending) {
  ENTER;
  u64 v[2];
  ret code = numbers(d, "mig_mode", v, 2);
  if (!code) { *current = v[0]; *pending = v[1]; }
  return code;
}

ret nvmlDeviceGetEccMode(device d, u32 *current, u32 *pending) {
  u64 v[2];
  ret code = numbers(d, "ecc_mode", v, 2);
  if (!code) { *current = v[0]; *pending = v[1]; }
  return code;
}

ret nvmlDeviceGetCudaComputeCapability(device d, int *major, int *minor) {
  u64 v[2];
  ret code = numbers(d, "compute_capability", v, 2);
  if (!code) { *major = v[0]; *minor = v[1]; }
  return code;
}

struct bar1 { u64 total, free, used; };
ret nvmlDeviceGetBAR1MemoryInfo(device d, struct bar1 *out) {
  u64 v[3];
  ret code = numbers(d, "bar1", v, 3);
  if (!code) { out->total = v[0]; out->free = v[1]; out->used = v[2]; }
  return code;
}

ret nvmlDeviceGetMigDeviceHandleByIndex(device d, u32 index, device *out) {
  ENTER;
  char uuid[128];
  *out = handle(d->gpu, index);
  ret code = ask(*out, "uuid", uuid, sizeof uuid);
  return code == UNSUPPORTED ? NOT_FOUND : code;
}
ret nvmlDeviceIsMigDeviceHandle(device d, u32 *out) { *out = d->instance >= 0; return OK; }
ret nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device d, device *out) { *out = handle(d->gpu, -1); return OK; }

/* --- processes ---------------------------------------------------------------------------- */

struct process { u32 pid; u64 bytes; u32 gpu_instance, compute_instance; };
static ret processes(device d, const char *key, u32 *count, struct process *out) {
  char value[8192];
  ret code = ask(d, key, value, sizeof value);
  if (code) return code;
  u32 found = 0, room = *count;
  for (char *word = strtok(value, " "); word; word = strtok(NULL, " "), found++) {
    if (found >= room || !out) continue;
    char *colon = strchr(word, ':');
    out[found].pid = atoi(word);
    out[found].bytes = colon[1] == '-' ? NOT_AVAILABLE : strtoull(colon + 1, NULL, 10);
    out[found].gpu_instance = out[found].compute_instance = ~0U;
  }
  *count = found;
  return found > room ? TOO_SMALL : OK;
}
#define PROCESSES(function, key) \
  ret function(device d, u32 *count, struct process *out) { ENTER; return processes(d, key, count, out); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "processes")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")

/* --- fields ------------------------------------------------------------------------------- */

struct field { u32 id, scope; long long at, latency; int type, code; union { double d; u32 u; u64 l; } value; };
ret nvmlDeviceGetFieldValues(device d, int count, struct field *fields) {
  ENTER;
  for (int i = 0; i < count; i++) {
    char key[32];
    u64 v[2];
    snprintf(key, sizeof key, "field.%u", fields[i].id);
    fields[i].value.l = 0;
    fields[i].code = numbers(d, key, v, 2);
    if (fields[i].code == LOST) return LOST;
    if (fields[i].code) continue;
    fields[i].type = v[0];
    if (v[0] == 1) fields[i].value.u = v[1];
    else fields[i].value.l = v[1];
  }
  return OK;
}

/* --- events ------------------------------------------------------------------------------- */

static u64 seen_event;
ret nvmlEventSetCreate(void **out) { ENTER; *out = &seen_event; return OK; }
ret nvmlEventSetFree(void *set) { (void)set; return OK; }
ret nvmlDeviceRegisterEvents(device d, u64 types, void *set) {
  (void)set;
  u64 supported;
  ret code = numbers(d, "event_types", &supported, 1);
  return code ? code : (types & ~supported) ? UNSUPPORTED : OK;
}

struct event { device d; u64 type, data; u32 gpu_instance, compute_instance; };
ret nvmlEventSetWait_v2(void *set, struct event *out, u32 timeout_ms) {
  (void)set;
  ENTER;
  for (u32 waited = 0, step; waited <= timeout_ms; waited += step) {
    char value[64];
    u64 number;
    int gpu;
    u64 xid;
    if (find("event", value, sizeof value) && sscanf(value, "%llu %d %llu", &number, &gpu, &xid) == 3 &&
        number != seen_event) {
      seen_event = number;
      memset(out, 0, sizeof *out);
      out->d = handle(gpu, -1);
      out->type = 8;
      out->data = xid;
      return OK;
    }
    step = timeout_ms - waited < 250 ? timeout_ms - waited : 250;
    if (!step) break;
    usleep(1000 * step);
  }
  return TIMEOUT;
}
