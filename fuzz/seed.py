import json,os,glob
os.makedirs('corpus/debezium_json',exist_ok=True); os.makedirs('corpus/key',exist_ok=True)
US,RS='\x1f','\x1e'
def put(t,n,s):
    open(f'corpus/{t}/seed-{n}','wb').write(s if isinstance(s,bytes) else s.encode())
row={"id":1,"region":"north","small":-128,"unsigned":18446744073709551615,"flag":True,"single":1.5,"double":-0.25,"price":"12.34","wide":"MDk=","name":"caf\u00e9","bytes":"AAEC","document":'{"a":[1,{"b":null}]}',"uid":"b68a35a7-17ad-35b3-af2a-ae46edb4545a","day":19876,"far":"1900-01-01","second":"2024-02-29T23:59:59Z","moment":1529507596945104,"written":"2024-06-01T12:34:56.123456789+02:00","time":86399999999,"tags":["a",None],"matrix":[[1,2],[]]}
src={"version":"3.1.0.Final","connector":"postgresql","name":"fuzz","ts_ms":1717245296789,"snapshot":"false","db":"shop","sequence":"[\"24023128\",\"24023129\"]","schema":"public","table":"strict","txId":5,"lsn":24023,"xmin":None}
key='{"id":1,"region":"north"}'
d=lambda o:json.dumps(o,separators=(',',':'),ensure_ascii=False)
def env(op,after,before=None,**kw): return d({"before":before,"after":after,"source":src,"transaction":None,"op":op,"ts_ms":1717245297001,**kw})
put('debezium_json','create',key+US+env('c',row))
put('debezium_json','create-update-delete',RS.join([key+US+env('c',row),key+US+env('u',{**row,"name":"x","small":None},{**row}),key+US+env('d',None,{k:(v if k in("id","region") else None) for k,v in row.items()}),key]))
nulls={k:(v if k in("id","region","tags","matrix") else None) for k,v in row.items()}
put('debezium_json','nulls',key+US+env('r',nulls))
toast={**row,"name":"__debezium_unavailable_value","bytes":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==","tags":["__debezium_unavailable_value"]}
put('debezium_json','toast',key+US+env('u',toast))
def f(t,name=None,field=None,**kw):
    x={"type":t,"optional":True,"field":field}
    if name: x["name"]=name; x["version"]=1
    x.update(kw); return x
fields=[f("int64",field="id"),f("string",field="region"),f("bytes","org.apache.kafka.connect.data.Decimal","price",parameters={"scale":"2","connect.decimal.precision":"12"}),f("int32","io.debezium.time.Date","day"),f("int64","io.debezium.time.MicroTimestamp","moment"),f("int64","io.debezium.time.Timestamp","second"),f("string","io.debezium.time.ZonedTimestamp","written"),f("struct","io.debezium.data.VariableScaleDecimal","wide",fields=[f("int32",field="scale"),f("bytes",field="value")]),f("array",field="tags",items={"type":"string","optional":True}),f("bytes",field="bytes"),f("string","io.debezium.data.Json","document")]
img=lambda n:{"type":"struct","optional":True,"field":n,"fields":fields,"name":"v.Value"}
schema={"type":"struct","optional":False,"name":"fuzz.Envelope","fields":[img("before"),img("after"),f("string",field="op")]}
r2={**row,"price":"BNI=","wide":{"scale":3,"value":"SOx4FQ=="},"second":1717245296789}
ks=d({"schema":{"type":"struct","fields":[f("int64",field="id"),f("string",field="region")]},"payload":{"id":1,"region":"north"}})
w=d({"schema":schema,"payload":json.loads(env('c',r2))})
put('debezium_json','schema',ks+US+w)
put('debezium_json','schema-twice',RS.join([ks+US+w,ks+US+w,key+US+env('c',row)]))
for n,v in {"payload-first":d({"payload":json.loads(env('c',r2)),"schema":schema}),"null-schema":d({"schema":None,"payload":json.loads(env('c',row))}),"heartbeat":'{"ts_ms":1}',"begin":'{"status":"BEGIN","id":"571:5","event_count":null,"data_collections":null,"ts_ms":1}',"ddl":'{"source":{},"ts_ms":1,"databaseName":"x","ddl":"DROP TABLE y","tableChanges":[]}',"message":'{"op":"m","ts_ms":1,"source":{"table":""},"message":{"prefix":"p","content":"aGk="}}',"truncate":'{"op":"t","source":{}}',"null":"null","payload-null":'{"schema":{"type":"struct","fields":[]},"payload":null}',"infinities":env('c',{**row,"single":"NaN","double":"Infinity","price":"POSITIVE_INFINITY","moment":9223372036825200000,"day":-2147472692,"written":"infinity"})}.items():
    put('debezium_json',n,key+US+v)
put('debezium_json','registry',b'\0\0\0\0\x07xyz')
for i,k in enumerate([key,ks,'{"region":"n","id":2}','null','{}','1','{"id":null,"region":"a"}','{ "id" : 1 , "region" : "\\u00e9" }','{"schema":null,"payload":{"id":1,"region":"a"}}','{"id":1,"id":1,"region":""}','{"id":1,"region":"a","x":{}}']):
    put('key',i,k)
