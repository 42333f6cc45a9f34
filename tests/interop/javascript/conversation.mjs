// A spoken conversation by the JavaScript reference client: `node conversation.mjs URL FOLDER`; see ../run.py.
//
// FOLDER has the questions as PCM16 at 24 kHz, and gets what was heard in the same form. Every check prints a line;
// the first one that fails ends the run with exit code 1.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RealtimeClient } from 'openai-realtime-api'

const [url, folder] = process.argv.slice(2)
const PATIENCE_MS = 15_000
const CHUNK = 2_400 // 100 ms
const POEM = 'The tide comes in, the tide goes out, and nobody has asked it to. '.repeat(12).trim()
const errors = []

function fail(what, detail) {
  console.log(`FAILED ${what}: ${detail}`)
  process.exit(1)
}

function check(what, holds, detail = '') {
  if (!holds) fail(what, typeof detail === 'string' ? detail || 'it does not hold' : JSON.stringify(detail))
  console.log(`ok ${what}`)
}

// Resolves with the first value that `find` returns, asked again after each event of the server.
function until(client, what, find) {
  return new Promise((resolve) => {
    let waiting = true
    const timer = setTimeout(() => fail(what, `waited ${PATIENCE_MS} ms in vain`), PATIENCE_MS)
    const look = () => {
      const found = waiting && find()
      if (!found) return
      waiting = false
      clearTimeout(timer)
      client.off('realtime.event', later)
      resolve(found)
    }
    // The client's own handlers of the event have not all run yet.
    const later = () => setImmediate(look)
    client.on('realtime.event', later)
    look()
  })
}

function samplesOf(name) {
  const data = readFileSync(join(folder, name))
  return new Int16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length))
}

function keep(name, samples) {
  writeFileSync(join(folder, name), new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength))
}

function speak(client, samples) {
  for (let start = 0; start < samples.length; start += CHUNK) {
    client.appendInputAudio(samples.slice(start, start + CHUNK))
  }
}

async function connected(seen) {
  const client = new RealtimeClient({ url, apiKey: 'any' })
  client.on('realtime.event', ({ source, event }) => {
    if (source !== 'server') return
    seen.push(event)
    if (event.type === 'error') errors.push(event.error)
  })
  await client.connect()
  await client.waitForSessionCreated()
  client.addTool(
    {
      name: 'time_in',
      description: 'Tell the time in a city.',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' } },
        required: ['city'],
        examples: ['what time is it in {city}?']
      }
    },
    async ({ city }) => ({ text: `It is five past two in ${city}.` })
  )
  client.addTool(
    {
      name: 'recite',
      description: 'Recite a poem.',
      parameters: { type: 'object', properties: {}, examples: ['recite the poem'] }
    },
    () => ({ text: POEM })
  )
  await until(client, 'the tools are confirmed', () =>
    seen.some((each) => each.type === 'session.updated' && each.session.tools.length === 2)
  )
  return client
}

const messages = (client, role) => client.conversation.getItems().filter((item) => item.role === role)
const answerOf = (client, what, count) =>
  until(client, what, () => {
    const item = messages(client, 'assistant')[count]
    return item?.status === 'completed' && item
  })

async function ask(client, content) {
  const before = messages(client, 'assistant').length
  client.sendUserMessageContent(content)
  return until(client, 'an answer begins to be spoken', () => {
    const item = messages(client, 'assistant')[before]
    return item?.formatted.audio.length >= CHUNK && item
  })
}

async function pushToTalk() {
  const seen = []
  const client = await connected(seen)
  check('the client is connected', client.isConnected)
  check('the session is told in the beta dialect', seen[0].session?.modalities?.join() === 'text,audio', seen[0])
  check('no turns are detected', client.getTurnDetectionType() === undefined)

  client.sendUserMessageContent([{ type: 'input_text', text: 'what time is it in Tokyo?' }])
  const first = await answerOf(client, 'a written question is answered', 0)
  const calls = client.conversation.getItems().filter((item) => item.type === 'function_call')
  check('the tool is called with its arguments', calls[0].formatted.tool.arguments === '{"city":"Tokyo"}', calls)
  check('the call is complete', calls[0].status === 'completed')
  check('the answer has its transcript', first.formatted.transcript === 'It is five past two in Tokyo.', first)
  check('the answer has audio', first.formatted.audio.length > 24_000)
  keep('answer-Tokyo.pcm', first.formatted.audio)

  const question = samplesOf('question-Lima.pcm')
  speak(client, question)
  client.createResponse()
  const second = await answerOf(client, 'a spoken question is answered', 1)
  const asked = messages(client, 'user')[1]
  check('the question has its transcript', asked.formatted.transcript === 'what time is it in Lima?', asked)
  check('the question has its audio', asked.formatted.audio.length === question.length)
  check('the spoken question is answered', second.formatted.transcript === 'It is five past two in Lima.', second)
  keep('answer-Lima.pcm', second.formatted.audio)

  client.deleteItem(first.id)
  await until(client, 'an item is deleted', () => !client.conversation.getItem(first.id))
  check('an item is deleted', seen.some((each) => each.type === 'conversation.item.deleted'))

  const poem = await ask(client, [{ type: 'input_text', text: 'recite the poem' }])
  client.cancelResponse(poem.id, 12_000)
  const truncated = await until(client, 'an answer is truncated', () =>
    seen.find((each) => each.type === 'conversation.item.truncated')
  )
  check('an answer is truncated where it was heard', truncated.audio_end_ms === 500 && truncated.item_id === poem.id)
  check('the client keeps what was heard', poem.formatted.audio.length === 12_000, poem.formatted.audio.length)
  const ended = seen.filter((each) => each.type === 'response.done').at(-1)
  check('its response is cancelled', ended.response.status === 'cancelled', ended)

  client.removeTool('recite')
  const after = await until(client, 'a tool is removed', () =>
    seen.filter((each) => each.type === 'session.updated' && each.session.tools.length === 1).at(-1)
  )
  check('a tool is removed', after.session.tools[0].name === 'time_in', after)
  await leave(client)
}

async function voiceDetection() {
  const seen = []
  const client = await connected(seen)
  const interrupted = []
  client.on('conversation.interrupted', (event) => interrupted.push(event))
  client.updateSession({ turn_detection: { type: 'server_vad' } })
  await until(client, 'turns are detected', () =>
    seen.some((each) => each.type === 'session.updated' && each.session.turn_detection?.type === 'server_vad')
  )
  check('turns are detected', client.getTurnDetectionType() === 'server_vad')

  const poem = await ask(client, [{ type: 'input_text', text: 'recite the poem' }])
  check('nothing is interrupted yet', interrupted.length === 0 && poem.status === 'in_progress')
  const question = samplesOf('question-Oslo.pcm')
  speak(client, question)
  speak(client, new Int16Array(24_000))
  const answer = await answerOf(client, 'a detected question is answered', 1)
  check('speaking interrupts the answer', interrupted.length === 1 && poem.status === 'incomplete', poem.status)
  const cancelled = seen.find((each) => each.type === 'response.done' && each.response.status === 'cancelled')
  check('the server says why', cancelled?.response.status_details.reason === 'turn_detected', cancelled)
  const kinds = seen.map((each) => each.type)
  const places = ['speech_started', 'speech_stopped', 'committed'].map((each) => kinds.indexOf(`input_audio_buffer.${each}`))
  check('the turn is told in order', places[0] >= 0 && places[0] < places[1] && places[1] < places[2], places)
  const asked = messages(client, 'user').at(-1)
  check('the question has its transcript', asked.formatted.transcript === 'what time is it in Oslo?', asked)
  check('the client cuts the question out of its audio', asked.formatted.audio.length >= question.length, asked.formatted.audio.length)
  keep('heard-Oslo.pcm', asked.formatted.audio)
  check('the answer is about it', answer.formatted.transcript === 'It is five past two in Oslo.', answer)
  keep('answer-Oslo.pcm', answer.formatted.audio)
  await leave(client)
}

async function leave(client) {
  client.disconnect()
  check('the client is disconnected', !client.isConnected && client.conversation.getItems().length === 0)
}

await pushToTalk()
await voiceDetection()
check('the server has reported no error', errors.length === 0, errors)
